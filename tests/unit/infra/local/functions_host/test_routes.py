"""ASP.NET route templates of HTTP triggers."""

import pytest

from infra.local.functions_host.routes import compile_route
from shared.errors import PermanentError


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("orders", "/api/orders", {}),
        ("orders", "/api/orders/", {}),
        ("orders", "/API/Orders", {}),
        ("orders", "/api/orders/1", None),
        ("orders", "/orders", None),
        ("orders/{id}", "/api/orders/a%20b%2Fc", {"id": "a b/c"}),
        ("orders/{id}", "/api/orders", None),
        ("orders/{id}", "/api/orders/1/2", None),
        ("orders/{id?}", "/api/orders", {}),
        ("orders/{id?}", "/api/orders/1", {"id": "1"}),
        ("orders/{id=7}", "/api/orders", {"id": "7"}),
        ("orders/{id=7}", "/api/orders/8", {"id": "8"}),
        ("orders/{id:int}", "/api/orders/8", {"id": "8"}),
        ("orders/{id:int}", "/api/orders/x", None),
        ("orders/{id:int?}", "/api/orders", {}),
        ("files/{*rest}", "/api/files/a/b%2Fc", {"rest": "a/b/c"}),
        ("files/{*rest}", "/api/files", {}),
        ("files/{**rest}", "/api/files/x", {"rest": "x"}),
        ("{sample}/report.html", "/api/S1/report.html", {"sample": "S1"}),
        ("{sample}.json", "/api/S.1.json", {"sample": "S.1"}),
        ("{sample}.json", "/api/S1xjson", None),
        ("fhir/{type}/$everything", "/api/fhir/Patient/$everything", {"type": "Patient"}),
        ("{*rest}", "/api/a/b", {"rest": "a/b"}),
    ],
)
def test_matching(template, path, expected):
    assert compile_route(template, "api").match(path) == expected


def test_without_a_prefix_a_route_begins_at_the_root():
    assert compile_route("", "").match("/") == {}
    assert compile_route("{*rest}", "").match("/a/b") == {"rest": "a/b"}


def test_the_more_specific_route_comes_first():
    templates = ["{*rest}", "orders/{id}", "{kind}/{id}", "orders/{id:int}", "orders/open", "orders/{id?}"]
    ordered = sorted((compile_route(one) for one in templates), key=lambda one: one.order)
    assert [one.template for one in ordered] == [
        "orders/open",
        "orders/{id:int}",
        "orders/{id}",
        "orders/{id?}",
        "{kind}/{id}",
        "{*rest}",
    ]


@pytest.mark.parametrize("template", ["a/{", "a/{id", "a/}x", "a/{id:nope}", "x{*rest}", "{a}/{a}", "x{id?}"])
def test_a_malformed_template_is_refused(template):
    with pytest.raises(PermanentError, match="route"):
        compile_route(template)
