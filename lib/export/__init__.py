"""The network for other runtimes: OpenVINO and ONNX files, and the engines that run them.

PyTorch's engine is ``mstgt.test.tracker.torch_engine``; the base class of all is ``mstgt.test.tracker.engine``.
"""
