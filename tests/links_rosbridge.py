"""A fake of a rosbridge server, in this process: the documented protocol, version 2, and no ROS.

Sends what one client publishes to those who subscribed, in the mode `cbor-raw`, and answers what is
asked of rosapi. Refuses topics whose names begin with `/secret`, as a real one refuses what its
lists of globs leave out.
"""

import contextlib
import json
import threading
import time
from typing import Any

import cbor2
from links_tools import build, free_port
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from agentd.worlds.ros2.codec import Codec
from agentd.worlds.ros2.rosbridge_messages import ros_type


class FakeRosbridge:
    """Listens on the loopback interface until it is closed.

    Args:
        distro: What it is the bridge of; `noetic` sends the bytes of ROS 1.
        port: Where it listens; None chooses.
        rosapi: Whether it answers questions.
    """

    def __init__(
        self, distro: str = "humble", port: int | None = None, rosapi: bool = True
    ) -> None:
        self.codec = Codec(distro)
        self.distro = distro
        self.rosapi = rosapi
        self.port = port or free_port()
        self.url = f"ws://127.0.0.1:{self.port}"
        self.types: dict[str, str] = {}
        self.wishes: list[dict[str, Any]] = []
        self._clients: dict[ServerConnection, dict[str, dict[str, Any]]] = {}
        self._lock = threading.RLock()
        self._server: Server = serve(
            self._serve, "127.0.0.1", self.port, compression=None, max_size=10_000_000
        )
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        """Hang up on everybody and stop listening."""
        self._server.shutdown()
        self._thread.join()
        for client in list(self._clients):
            client.close()
        self._server.socket.close()

    def say(self, topic: str, message: dict[str, Any], binary: bool = True) -> None:
        """Send an operation to whoever subscribed a topic, whatever it is."""
        frame = cbor2.dumps(message) if binary else json.dumps(message)
        for client, wishes in list(self._clients.items()):
            if any(w["op"] == "subscribe" and w["topic"] == topic for w in wishes.values()):
                with contextlib.suppress(ConnectionClosed):
                    client.send(frame)

    def publish(self, topic: str, data: bytes) -> None:
        """Send the bytes of a message of ROS 2 to whoever subscribed its topic."""
        raw: bytes = data
        if self.distro == "noetic":
            raw = bytes(self.codec.store.cdr_to_ros1(data, self.types[topic]))
        secs, nsecs = divmod(time.time_ns(), 10**9)
        body = {"secs": secs, "nsecs": nsecs, "bytes": raw}
        self.say(topic, {"op": "publish", "topic": topic, "msg": body})

    def _serve(self, client: ServerConnection) -> None:
        with self._lock:
            self._clients[client] = {}
        try:
            for frame in client:
                with self._lock:
                    self._obey(client, json.loads(frame))
        except ConnectionClosed:
            pass
        finally:
            with self._lock:
                del self._clients[client]

    def _obey(self, client: ServerConnection, message: dict[str, Any]) -> None:
        name, topic = message.get("id", ""), message.get("topic", "")
        if topic.startswith("/secret"):
            text = f"No match found for topic, cancelling {message['op']} to: {topic}"
            refusal = {"op": "status", "level": "error", "msg": text, "id": name}
            client.send(json.dumps(refusal))
        elif message["op"] in ("subscribe", "advertise"):
            self.wishes.append(message)
            self._clients[client][name] = message
            self.types.setdefault(topic, ros_type(message["type"]))
        elif message["op"] == "unsubscribe":
            self._clients[client].pop(name, None)
        elif message["op"] == "publish":
            built = build(self.codec, self.types[topic], message["msg"])
            self.publish(topic, bytes(self.codec.encode(built)))
        elif message["op"] == "call_service":
            client.send(json.dumps(self._answer(name, message["service"], message["args"])))

    def _answer(self, name: str, service: str, args: dict[str, Any]) -> dict[str, Any]:
        short = {
            topic: kind.replace("/msg/", "/") if self.distro == "noetic" else kind
            for topic, kind in self.types.items()
        }
        wishes = [(c, w) for c, wishes in self._clients.items() for w in wishes.values()]
        told = {c for c, w in wishes if w["op"] == "advertise" and w["topic"] == args.get("topic")}
        known: dict[str, dict[str, Any]] = {
            "/rosapi/topics": {"topics": list(short), "types": list(short.values())},
            "/rosapi/topic_type": {"type": short.get(args.get("topic", ""), "")},
            "/rosapi/publishers": {"publishers": [f"/node_{id(client)}" for client in told]},
        }
        answer = {"op": "service_response", "id": name, "service": service}
        if not self.rosapi:
            return answer | {"result": False, "values": f"Service {service} does not exist"}
        return answer | {"result": True, "values": known[service]}
