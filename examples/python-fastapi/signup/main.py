"""Takes a new user whose mail address can be one, which a package from PyPI tells."""

from fastapi import HTTPException, Request
from pydantic import BaseModel, EmailStr, ValidationError


class User(BaseModel):
    name: str
    email: EmailStr


async def main(request: Request):
    try:
        user = User.model_validate_json(await request.body())
    except ValidationError as error:
        raise HTTPException(422, [fault["msg"] for fault in error.errors()])
    return {"welcome": user.name, "email": user.email}
