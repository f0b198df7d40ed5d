"""DescribeClientQuotas, AlterClientQuotas (KIP-546). v1 flexible."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pykbroker.handlers.api import handles
from pykbroker.state.quota_configs import describe_client_quotas as describe
from wire.messages.alter_client_quotas import AlterClientQuotasRequest
from wire.messages.describe_client_quotas import (
    DescribeClientQuotasRequest,
    DescribeClientQuotasResponse,
)

if TYPE_CHECKING:
    from pykbroker.handlers.api import Context
    from wire.messages.alter_client_quotas import AlterClientQuotasResponse


@handles(DescribeClientQuotasRequest)
def describe_client_quotas(
    request: DescribeClientQuotasRequest, ctx: Context
) -> DescribeClientQuotasResponse:
    return describe(ctx.broker.images.current, request)


@handles(AlterClientQuotasRequest)
async def alter_client_quotas(
    request: AlterClientQuotasRequest, ctx: Context
) -> AlterClientQuotasResponse:
    return cast(
        "AlterClientQuotasResponse", await ctx.broker.controller.call(request, origin=ctx.origin())
    )
