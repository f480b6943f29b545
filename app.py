"""The map of every entry point: REST routes, the authorizer and the consumer of the inventory queue."""

from collections.abc import Callable
from typing import Any

from chalice.app import AuthRequest, Chalice, Response, SQSEvent

from chalicelib import auth, consumer
from chalicelib.api import http, inventory, products, reservations

app = Chalice(app_name="ims")


@app.authorizer(ttl_seconds=60)
def authorizer(request: AuthRequest) -> dict[str, Any]:
    """Answer API Gateway which routes the bearer token opens."""
    return auth.authorize(request.token, request.method_arn)


# The real queue's ARN is set by Terraform; Chalice only wants one of the right form.
@app.on_sqs_message(queue_arn="arn:aws:sqs:us-east-1:000000000000:IMS-InventoryQueue", name="on_sqs_message")
def on_sqs_message(event: SQSEvent) -> dict[str, Any]:
    """Settle a batch of orders; answers which messages SQS shall deliver again."""
    return consumer.handle(event.to_dict(), event.context)


route: Callable[..., Any] = http.router(app, authorizer)


@route("POST", "/products")
def create_product() -> Response:
    return products.create(app.current_request)


@route("GET", "/products")
def list_products() -> Response:
    return products.list_page(app.current_request)


@route("GET", "/products/{sku}")
def get_product(sku: str) -> Response:
    return products.get(sku)


@route("PATCH", "/products/{sku}")
def change_product(sku: str) -> Response:
    return products.change(app.current_request, sku)


@route("DELETE", "/products/{sku}")
def delete_product(sku: str) -> Response:
    return products.delete(sku)


@route("GET", "/inventory")
def list_inventory() -> Response:
    return inventory.list_page(app.current_request)


@route("POST", "/inventory/check")
def check_availability() -> Response:
    return inventory.check(app.current_request)


@route("GET", "/inventory/{sku}")
def get_stock(sku: str) -> Response:
    return inventory.get(sku)


@route("PUT", "/inventory/{sku}")
def set_stock(sku: str) -> Response:
    return inventory.set_quantity(app.current_request, sku)


@route("POST", "/inventory/{sku}/adjustments")
def adjust_stock(sku: str) -> Response:
    return inventory.adjust(app.current_request, sku)


@route("GET", "/reservations/{order_id}")
def get_reservation(order_id: str) -> Response:
    return reservations.get(order_id)


@route("GET", "/health", token=False)
def health() -> Response:
    return http.json_response({"status": "ok"})


http.refuse_other_methods(app)
