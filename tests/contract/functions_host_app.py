"""A small Function App that the functions-host tests write into a folder and run there, as a user's app would be."""

HOST_JSON = """{
  "version": "2.0",
  "functionTimeout": "00:05:00",
  "extensions": {"queues": {"batchSize": 4, "newBatchThreshold": 2, "maxDequeueCount": 2,
                            "visibilityTimeout": "00:00:01", "maxPollingInterval": "00:00:00.5"}}
}
"""

FUNCTION_APP = """
import asyncio
import json
import threading
import time

import azure.functions as func

app = func.FunctionApp()
together = threading.Barrier(2, timeout=10)


@app.queue_trigger(arg_name="msg", queue_name="%PREFIX%-work", connection="DATA")
@app.queue_output(arg_name="out", queue_name="%PREFIX%-done", connection="DATA")
def work(msg: func.QueueMessage, out: func.Out[str], context: func.Context) -> None:
    body = msg.get_body().decode()
    if body.startswith("bad"):
        raise ValueError("bad")
    if body.startswith("together"):
        together.wait()
    if body.startswith("sleep"):
        time.sleep(float(body.split()[1]))
    out.set(json.dumps({"body": body, "id": msg.id, "count": msg.dequeue_count, "name": context.function_name,
                        "at": msg.insertion_time.isoformat()}))


@app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *", run_on_startup=True)
@app.queue_output(arg_name="out", queue_name="%PREFIX%-ticks", connection="DATA")
async def tick(timer: func.TimerRequest, out: func.Out[str]) -> None:
    await asyncio.sleep(0)
    out.set("tick")


@app.route(route="orders/{id}", methods=["GET", "POST"])
def orders(req: func.HttpRequest) -> func.HttpResponse:
    if req.route_params["id"] == "boom":
        raise RuntimeError("secret detail")
    answer = {"method": req.method, "id": req.route_params["id"], "q": req.params.get("q"),
              "body": req.get_body().decode(), "header": req.headers.get("X-Test")}
    return func.HttpResponse(json.dumps(answer), status_code=201, mimetype="application/json", headers={"X-A": "b"})


@app.route(route="files/{*rest}", methods=["GET"])
async def files(req: func.HttpRequest) -> str:
    await asyncio.sleep(0)
    return req.route_params["rest"]
"""
