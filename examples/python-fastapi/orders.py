from fastapi import HTTPException, Request
from pydantic import BaseModel, ValidationError


class Order(BaseModel):
    item: str
    count: int = 1


async def main(request: Request):
    try:
        order = Order.model_validate_json(await request.body())
    except ValidationError as error:
        raise HTTPException(422, error.errors(include_url=False, include_input=False))
    return {"accepted": order, "by": request.query_params.get("name", "world")}
