"""The core's settings for events, and the options of webhooks: `webhook.NAME.OPTION = value`."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator

from calotype.config.options import Options
from calotype.config.quantities import Seconds

#: The kinds of events, as `calotype.model.events.EventKind` has them.
Kind = Literal["created", "activated", "failed", "changed", "shared", "deleted"]
KINDS: tuple[Kind, ...] = ("created", "activated", "failed", "changed", "shared", "deleted")
#: Minimum length of a secret, in characters. A shorter one could be guessed from a single delivery.
SECRET_MIN = 24


class WebhookOptions(Options):
    """The options of one webhook."""

    url: str = Field(description="the URL that receives the events, by POST")
    secret: SecretStr = Field(
        description="the key that signs deliveries: `whsec_` and base64, or a text of at least 24 characters"
    )
    events: tuple[Kind, ...] = Field(KINDS, min_length=1, description="the kinds of events to deliver")
    timeout: Seconds = Field(10, gt=0, description="seconds to wait for the receiver's response")
    allowed_networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = Field(
        (), description="networks that the receiver may be in although they are not public"
    )
    allowed_hosts: tuple[
        Annotated[str, StringConstraints(to_lower=True, pattern=r"^[A-Za-z0-9.-]{1,253}$")], ...
    ] = Field(
        (),
        examples=["hooks.example.com"],
        description="names that are allowed whatever they resolve to; their DNS is trusted",
    )
    ca_bundle: str | None = Field(None, description="file of CA certificates (default: the system's)")

    @field_validator("secret")
    @classmethod
    def _is_long(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < SECRET_MIN:
            raise ValueError(f"must have at least {SECRET_MIN} characters")
        return value


class EventSettings(BaseModel):
    """The settings for events. A field's ini key is `calotype.` and its name."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
        alias_generator="calotype.{}".format,
    )

    event_retention: Seconds = Field(
        7 * 86400,
        ge=60,
        description="Seconds for which the database keeps events, for listeners that resume and for webhooks "
        "whose receivers do not answer. The sweeper removes older events.",
    )
    listeners: int = Field(
        500,
        ge=0,
        description="Maximum requests of each process that listen at /events or wait for a status. Further "
        "ones get 503. They also count for `connection_limit` of the server.",
    )
    listeners_per_caller: int = Field(
        50,
        ge=0,
        description="Maximum of these requests of one caller in each process. Further ones get 429. A caller "
        "is a user of a project, or an address without a token.",
    )
    listener_threads: int = Field(
        8,
        ge=0,
        description="Replaces `calotype.listeners` with any other server than calotype-server, because there "
        "each of these requests holds a thread.",
    )
    webhooks: dict[str, WebhookOptions] = Field(
        default_factory=dict, exclude=True, description="The options of each webhook, by its name."
    )
