"""Django Channels with channels_redis. A client joins the group that its path names; POST /GROUP sends the body to it.

    BENCH_REDIS=redis://… BENCH_LAYER=core|pubsub daphne channels_app:application

A second process of it takes the posts, as a web application beside the WebSocket servers would.
"""
import os

import django
from django.conf import settings

LAYERS = {"core": "channels_redis.core.RedisChannelLayer", "pubsub": "channels_redis.pubsub.RedisPubSubChannelLayer"}
LAYER = os.environ.get("BENCH_LAYER", "core")
CONFIG = {"hosts": [os.environ["BENCH_REDIS"]]}
if LAYER == "core":
    # With the default of 100 it drops messages as soon as a group has some hundred members in one process.
    CONFIG["capacity"] = 100000

settings.configure(
    DEBUG=False,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="only for measuring",
    INSTALLED_APPS=["channels"],
    CHANNEL_LAYERS={"default": {"BACKEND": LAYERS[LAYER], "CONFIG": CONFIG}},
)
django.setup()

from channels.generic.http import AsyncHttpConsumer  # noqa: E402
from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.layers import get_channel_layer  # noqa: E402
from channels.routing import ProtocolTypeRouter  # noqa: E402


class Subscriber(AsyncWebsocketConsumer):
    async def connect(self):
        self.group = self.scope["path"].strip("/")
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def disconnect(self, code):
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def bench_message(self, event):
        await self.send(text_data=event["text"])


class Publisher(AsyncHttpConsumer):
    async def handle(self, body):
        await get_channel_layer().group_send(
            self.scope["path"].strip("/"), {"type": "bench.message", "text": body.decode()})
        await self.send_response(200, b"")


application = ProtocolTypeRouter({"websocket": Subscriber.as_asgi(), "http": Publisher.as_asgi()})
