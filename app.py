"""The map of every entry point: authorizer, consumer of the inventory queue, sweep, REST routes."""

from typing import Any, cast

from chalice.app import AuthRequest, Chalice, SQSEvent

from chalicelib import __version__, bootstrap
from chalicelib.api import inventory, products, reservations
from chalicelib.api.routing import Call, Reply, Router
from chalicelib.contracts import requests, responses
from chalicelib.handlers import authorizer as token_authorizer
from chalicelib.handlers import inventory_queue
from chalicelib.handlers import sweep as scheduled_sweep

# The application logs for itself; Chalice's handler would print each line again.
app = Chalice(app_name="ims", configure_logs=False)


@app.authorizer(ttl_seconds=60)
def authorizer(request: AuthRequest) -> dict[str, Any]:
    """Tell API Gateway which routes the bearer token opens."""
    return token_authorizer.authorize(request.token, request.method_arn, bootstrap.verifier())


# Terraform sets the real queue's ARN; Chalice only wants one of the right form.
@app.on_sqs_message(queue_arn="arn:aws:sqs:us-east-1:000000000000:IMS-InventoryQueue", name="on_sqs_message")
def on_sqs_message(event: SQSEvent) -> dict[str, Any]:
    """Settle a batch of orders; returns which messages SQS must redeliver."""
    return inventory_queue.handle(event.to_dict(), cast(Any, event.context), bootstrap.consumer())


# Terraform sets the schedule: Chalice's own would give its rule the same name in every stage.
@app.lambda_function(name="sweep")
def sweep(_event: dict[str, Any], context: Any) -> None:
    """End the holds that are due, and send the answers that are still in the outbox."""
    scheduled_sweep.handle(context, bootstrap.hold_sweep(), bootstrap.sweep())


route = Router(app, authorizer)


@route("POST", "/products", takes=requests.CreateProduct, gives=responses.Product, status=201)
def create_product(call: Call[requests.CreateProduct]) -> Reply:
    """Create a product, with a stock of 0."""
    return products.create(call, bootstrap.products())


@route("GET", "/products", takes=requests.ListProducts, gives=responses.ProductPage)
def list_products(call: Call[requests.ListProducts]) -> responses.ProductPage:
    """List products, page by page."""
    return products.list_page(call, bootstrap.products(), bootstrap.stock())


@route("GET", "/products/{sku}", takes=requests.OneSku, gives=responses.Product)
def get_product(call: Call[requests.OneSku]) -> responses.Product:
    """Read a product and its stock."""
    return products.get(call, bootstrap.products())


@route("PATCH", "/products/{sku}", takes=requests.ChangeProduct, gives=responses.Product)
def change_product(call: Call[requests.ChangeProduct]) -> responses.Product:
    """Change a product."""
    return products.change(call, bootstrap.products(), bootstrap.stock())


@route("DELETE", "/products/{sku}", takes=requests.OneSku, status=204)
def delete_product(call: Call[requests.OneSku]) -> None:
    """Delete a product that has no stock."""
    products.delete(call, bootstrap.products())


@route("GET", "/inventory", takes=requests.ListStock, gives=responses.StockPage)
def list_inventory(call: Call[requests.ListStock]) -> responses.StockPage:
    """List stock levels, page by page."""
    return inventory.list_page(call, bootstrap.stock())


@route("POST", "/inventory/check", takes=requests.CheckAvailability, gives=responses.Availability)
def check_availability(call: Call[requests.CheckAvailability]) -> responses.Availability:
    """Tell whether items are available."""
    return inventory.check(call, bootstrap.stock())


@route("GET", "/inventory/{sku}", takes=requests.OneSku, gives=responses.Stock)
def get_stock(call: Call[requests.OneSku]) -> responses.Stock:
    """Read the stock of a SKU."""
    return inventory.get(call, bootstrap.stock(), bootstrap.products())


@route("PUT", "/inventory/{sku}", takes=requests.SetStock, gives=responses.Stock)
def set_stock(call: Call[requests.SetStock]) -> responses.Stock:
    """Set what is available of a SKU."""
    return inventory.set_quantity(call, bootstrap.stock_changes(), bootstrap.products())


@route("PATCH", "/inventory/{sku}", takes=requests.SetReorderPoint, gives=responses.Stock)
def set_reorder_point(call: Call[requests.SetReorderPoint]) -> responses.Stock:
    """Set the reorder point of a SKU, or clear it."""
    return inventory.set_reorder_point(call, bootstrap.stock(), bootstrap.products())


@route("POST", "/inventory/{sku}/adjustments", takes=requests.AdjustStock, gives=responses.Stock)
def adjust_stock(call: Call[requests.AdjustStock]) -> responses.Stock:
    """Add to the stock of a SKU, or take from it."""
    return inventory.adjust(call, bootstrap.stock_changes(), bootstrap.products())


@route("POST", "/inventory/{sku}/counts", takes=requests.CountStock, gives=responses.Count)
def count_stock(call: Call[requests.CountStock]) -> responses.Count:
    """Set what is on hand of a SKU to what was counted."""
    return inventory.count(call, bootstrap.stock_changes(), bootstrap.products())


@route("POST", "/reservations", takes=requests.ReserveOrder, gives=responses.Reservation, status=201)
def reserve_order(call: Call[requests.ReserveOrder]) -> Reply:
    """Reserve stock for an order."""
    return reservations.reserve(call, bootstrap.orders())


@route("GET", "/reservations/{order_id}", takes=requests.OneOrder, gives=responses.Reservation)
def get_reservation(call: Call[requests.OneOrder]) -> responses.Reservation:
    """Tell what became of an order."""
    return reservations.get(call, bootstrap.orders())


@route("POST", "/reservations/{order_id}/confirm", takes=requests.OneOrder, gives=responses.Reservation)
def confirm_order(call: Call[requests.OneOrder]) -> responses.Reservation:
    """Make a hold firm."""
    return reservations.confirm(call, bootstrap.orders())


@route("POST", "/reservations/{order_id}/extend", takes=requests.ExtendOrder, gives=responses.Reservation)
def extend_order(call: Call[requests.ExtendOrder]) -> responses.Reservation:
    """Move the end of a hold."""
    return reservations.extend(call, bootstrap.orders())


@route("POST", "/reservations/{order_id}/fulfill", takes=requests.FulfillOrder, gives=responses.Reservation)
def fulfill_order(call: Call[requests.FulfillOrder]) -> responses.Reservation:
    """Report that an order, or a part of it, was shipped."""
    return reservations.fulfill(call, bootstrap.orders())


@route("POST", "/reservations/{order_id}/release", takes=requests.ReleaseOrder, gives=responses.Reservation)
def release_order(call: Call[requests.ReleaseOrder]) -> responses.Reservation:
    """Give the stock of an order, or of a part of it, back."""
    return reservations.release(call, bootstrap.orders())


@route("GET", "/health", gives=responses.Health, needs_token=False)
def get_health(_: Call[requests.NoInput]) -> responses.Health:
    """Report that the API is up, and its version."""
    return responses.Health(status="ok", version=__version__)


route.refuse_other_methods()
