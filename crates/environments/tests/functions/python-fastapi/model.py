from datetime import date

from fastapi import HTTPException, Request
from pydantic import BaseModel


class Answer(BaseModel):
    """Serialised by its fields."""

    name: str
    day: date


async def main(request: Request):
    if "missing" in request.query_params:
        raise HTTPException(404, "no such thing")
    return Answer(name="Ada", day=date(1815, 12, 10))
