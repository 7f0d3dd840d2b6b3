"""ONNX files: QDQ, QOperator and float, opsets 13 to 23."""

from robench.graph.onnx.read import read_onnx

__all__ = ["read_onnx"]
