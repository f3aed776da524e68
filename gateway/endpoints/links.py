"""Links in the OpenAPI document, which say where the id or token in an answer is used next."""

from collections.abc import Mapping
from types import MappingProxyType

from gateway.json_types import Json

CHANGE: Json = {
    "getChange": {"operationId": "getChange", "parameters": {"change_id": "$response.body#/id"}},
    "abandonChange": {"operationId": "abandonChange", "parameters": {"change_id": "$response.body#/id"}},
}
FIRST = "$response.body#/data/0/id"

OF_OPERATION: Mapping[str, Json] = MappingProxyType(
    {
        "createSubscription": CHANGE,
        "modifySubscription": CHANGE,
        "cancelSubscription": CHANGE,
        "listChanges": {"getChange": {"operationId": "getChange", "parameters": {"change_id": FIRST}}},
        "previewChange": {
            "modifySubscription": {
                "operationId": "modifySubscription",
                "requestBody": {"quote": "$response.body#/token"},
                "description": "Make the change at the quoted cost.",
            }
        },
        "listInvoices": {
            "getInvoice": {"operationId": "getInvoice", "parameters": {"invoice_id": FIRST}},
            "payInvoice": {"operationId": "payInvoice", "parameters": {"invoice_id": FIRST}},
        },
        "listPaymentMethods": {
            "setDefaultPaymentMethod": {
                "operationId": "setDefaultPaymentMethod",
                "requestBody": {"payment_method": FIRST},
            },
            "deletePaymentMethod": {
                "operationId": "deletePaymentMethod",
                "parameters": {"payment_method_id": FIRST},
            },
        },
    }
)
