"""Whether the API lives, is ready and has started."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

router = APIRouter(prefix="/health", tags=["health"])


class Health(BaseModel):
    """How the API is."""

    state: Literal["ok", "failing"] = Field(examples=["ok"])
    reasons: dict[str, str] = Field(default={}, description="What is wrong, by what was looked at.", examples=[{}])


@router.get("/live")
async def live() -> Health:
    """Say that this process answers; nothing is looked at, so nothing but this process can make it fail."""
    return Health(state="ok")
