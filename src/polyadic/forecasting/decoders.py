"""The decoders of a forecaster by their names: how a network makes the steps of the horizon."""

from __future__ import annotations

from polyadic.forecasting.autoregressive import Autoregressive
from polyadic.forecasting.direct import Direct
from polyadic.forecasting.network import Network

DECODERS: dict[str, type[Network]] = {"autoregressive": Autoregressive, "direct": Direct}
