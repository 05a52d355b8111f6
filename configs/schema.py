"""The tree of all settings."""

from pydantic import BaseModel, ConfigDict

from configs.care import CareConfig
from configs.guardian import GuardianConfig
from configs.worlds import LifeConfig, WorldConfig
from learners.config import LearnersConfig
from memory.config import MemoryConfig
from policies.config import PoliciesConfig


class AgentConfig(BaseModel):
    """Everything that can be set, by package."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    life: LifeConfig = LifeConfig()
    world: WorldConfig = WorldConfig()
    memory: MemoryConfig = MemoryConfig()
    learners: LearnersConfig = LearnersConfig()
    policies: PoliciesConfig = PoliciesConfig()
    guardian: GuardianConfig = GuardianConfig()
    care: CareConfig = CareConfig()
