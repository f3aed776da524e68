from tests.contract.stage import ScenarioAccount


def products_come_and_go(stage: ScenarioAccount) -> None:
    products = stage.v1.products
    product = products.create({"name": "Plus", "metadata": {"a": "b"}, "marketing_features": [{"name": "one"}]})
    products.update(product.id, {"description": "more", "metadata": {"c": "d"}})
    products.retrieve(product.id)
    products.list({"active": True})
    products.delete(product.id)


def prices_change_their_keys(stage: ScenarioAccount) -> None:
    prices = stage.v1.prices
    price = stage.price(900, lookup_key="plus", nickname="old")
    prices.create(
        {
            "currency": "usd",
            "unit_amount": 500,
            "product_data": {"name": "once"},
            "lookup_key": "plus",
            "transfer_lookup_key": True,
        }
    )
    stage.subscribe(stage.customer().id, price.id)
    prices.update(price.id, {"nickname": "older", "active": False, "metadata": {"a": "b"}})
    stage.v1.products.update(str(price.product), {"default_price": price.id})
    prices.retrieve(price.id, {"expand": ["product"]})
    prices.list({"lookup_keys": ["plus"]})
