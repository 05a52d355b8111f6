"""Names of ROS and how DDS writes them; rmw_zenoh writes types alike."""


def dds_topic(topic: str) -> str:
    """Return the DDS name of a ROS topic."""
    return "rt" + topic


def ros_topic(name: str) -> str | None:
    """Return the ROS topic of a DDS name, None where it is none."""
    return name[2:] if name.startswith("rt/") else None


def dds_type(msgtype: str) -> str:
    """Return the DDS name of a ROS type."""
    folder, _, name = msgtype.rpartition("/")
    return f"{folder.replace('/', '::')}::dds_::{name}_"


def ros_type(name: str) -> str:
    """Return the ROS type of a DDS name; a name of another kind stays what it is."""
    folder, found, last = name.rpartition("::dds_::")
    return f"{folder.replace('::', '/')}/{last.removesuffix('_')}" if found else name
