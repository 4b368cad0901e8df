"""What a topic answers, as the project's two kinds of failure; a real publication: contract tests."""

from datetime import UTC, datetime

import pytest
from werkzeug.wrappers import Response

from infra.local.http_server import BackgroundServer
from shared.adapters.events import EventPublisher
from shared.errors import PermanentError, TransientError
from shared.ports import Notice

NOTICE = Notice("n1", "Test.Completed", "A1", datetime(2026, 1, 2, tzinfo=UTC))


@pytest.mark.parametrize(
    ("status", "error", "why"),
    [
        (400, PermanentError, "refuses notice n1"),
        (401, PermanentError, "refuses the key"),
        (404, PermanentError, "no topic"),
        (413, PermanentError, "refuses notice n1"),
        (429, TransientError, "failed for now"),
    ],
)
def test_an_answer_becomes_the_right_kind_of_failure(status, error, why):
    def answer(environ, start_response):
        return Response(status=status)(environ, start_response)

    with (
        BackgroundServer(answer, "127.0.0.1", 0) as server,
        EventPublisher(server.url, key="k") as publisher,
        pytest.raises(error, match=why),
    ):
        publisher.publish(NOTICE)


def test_a_topic_that_cannot_be_reached_is_transient():
    with EventPublisher("http://127.0.0.1:9", key="k") as publisher, pytest.raises(TransientError, match="for now"):
        publisher.publish(NOTICE)


def test_an_endpoint_that_is_no_url_is_refused_at_the_start():
    with pytest.raises(PermanentError, match="no URL"):
        EventPublisher("name.westeurope.eventgrid.azure.net", key="k")
