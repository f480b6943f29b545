"""The map of every entry point: REST routes, the authorizer and the consumer of the inventory queue."""

from typing import Any

from chalice.app import AuthRequest, Chalice, Request, Response, SQSEvent

from chalicelib import auth, consumer
from chalicelib.api import http, inventory, products, reservations

# The application logs for itself; Chalice's handler would print each line again.
app = Chalice(app_name="ims", configure_logs=False)


@app.authorizer(ttl_seconds=60)
def authorizer(request: AuthRequest) -> dict[str, Any]:
    """Answer API Gateway which routes the bearer token opens."""
    return auth.authorize(request.token, request.method_arn)


# The real queue's ARN is set by Terraform; Chalice only wants one of the right form.
@app.on_sqs_message(queue_arn="arn:aws:sqs:us-east-1:000000000000:IMS-InventoryQueue", name="on_sqs_message")
def on_sqs_message(event: SQSEvent) -> dict[str, Any]:
    """Settle a batch of orders; answers which messages SQS shall deliver again."""
    return consumer.handle(event.to_dict(), event.context)


route = http.router(app, authorizer)


@route("POST", "/products")
def create_product(request: Request) -> Response:
    return products.create(request)


@route("GET", "/products")
def list_products(request: Request) -> Response:
    return products.list_page(request)


@route("GET", "/products/{sku}")
def get_product(_: Request, sku: str) -> Response:
    return products.get(sku)


@route("PATCH", "/products/{sku}")
def change_product(request: Request, sku: str) -> Response:
    return products.change(request, sku)


@route("DELETE", "/products/{sku}")
def delete_product(_: Request, sku: str) -> Response:
    return products.delete(sku)


@route("GET", "/inventory")
def list_inventory(request: Request) -> Response:
    return inventory.list_page(request)


@route("POST", "/inventory/check")
def check_availability(request: Request) -> Response:
    return inventory.check(request)


@route("GET", "/inventory/{sku}")
def get_stock(_: Request, sku: str) -> Response:
    return inventory.get(sku)


@route("PUT", "/inventory/{sku}")
def set_stock(request: Request, sku: str) -> Response:
    return inventory.set_quantity(request, sku)


@route("POST", "/inventory/{sku}/adjustments")
def adjust_stock(request: Request, sku: str) -> Response:
    return inventory.adjust(request, sku)


@route("GET", "/reservations/{order_id}")
def get_reservation(_: Request, order_id: str) -> Response:
    return reservations.get(order_id)


@route("GET", "/health", token=False)
def health(_: Request) -> Response:
    return http.json_response({"status": "ok"})


http.refuse_other_methods(app)
