"""The body of a life as it was last driven, kept for those who read the life when it is stopped.

<home>/state/body.json, written at every start: `learners.round_spec.body_to_dict`. Of a robot it is
the only place that says where its camera sits.
"""

import json

from agentd.exit_codes import AgentdError, ExitCode, NotFoundError
from agentd.home import Home
from configs.schema import AgentConfig
from learners.round_spec import body_from_dict, body_to_dict
from memory.files import write_atomic
from memory.records import BodySpec

FILE = "body.json"


class DamagedBodyError(AgentdError):
    """What a life recorded of its body cannot be read."""

    exit_code = ExitCode.DAMAGED


def record_body(home: Home, spec: BodySpec) -> None:
    """Write down which body a life drives.

    Raises:
        OSError: If the disk does not take it.
    """
    text = json.dumps(body_to_dict(spec), indent=1)
    write_atomic(home.state_folder / FILE, text.encode())


def recorded_body(home: Home, config: AgentConfig) -> BodySpec:
    """Return the body of a life; of a life in the house from before this record, as it is set.

    Raises:
        DamagedBodyError: If the record cannot be read.
        NotFoundError: If there is none, and the body is not a simulated one.
    """
    path = home.state_folder / FILE
    try:
        return body_from_dict(json.loads(path.read_bytes()))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, TypeError) as error:
        raise DamagedBodyError(
            f"{path} is damaged ({error}); remove it, and the next run writes it anew"
        ) from error
    if config.world.kind != "house":
        raise NotFoundError(
            f"{path} is missing: nothing says where the camera of the {config.world.kind} body "
            f"sits; run the life once to write it: {home.command('run')}"
        )
    from agentd.build import build_world

    world = build_world(config.world)
    try:
        return world.spec
    finally:
        world.close()
