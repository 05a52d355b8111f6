"""The robot of the README keeps the contract, as its owner would prove it."""

from my_robot import MyRobot

from agentd.worlds.contract import WorldContract


class TestMyRobot(WorldContract):
    is_repeatable = False  # a seed does not move it

    def make(self) -> MyRobot:
        return MyRobot()

    def go_silent(self, world: MyRobot) -> None:
        world.robot.is_plugged = False
