"""DescribeClientQuotas, AlterClientQuotas (KIP-546). v1 flexible."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.handlers.api import forward, handles
from pykbroker.state.quota_configs import describe_client_quotas as describe
from wire.messages.alter_client_quotas import AlterClientQuotasRequest
from wire.messages.describe_client_quotas import (
    DescribeClientQuotasRequest,
    DescribeClientQuotasResponse,
)

if TYPE_CHECKING:
    from pykbroker.handlers.api import Context


@handles(DescribeClientQuotasRequest)
def describe_client_quotas(
    request: DescribeClientQuotasRequest, ctx: Context
) -> DescribeClientQuotasResponse:
    return describe(ctx.broker.images.current, request)


handles(AlterClientQuotasRequest)(forward)
