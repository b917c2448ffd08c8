"""The network for other runtimes: ONNX files and engines that run them."""
