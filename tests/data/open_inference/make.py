"""Messages of model servers as their own libraries write them, one per file, and what they are made of.

kserve:   python -m venv k && k/bin/pip install kserve==0.21.0   && k/bin/python make.py kserve
MLServer: python -m venv m && m/bin/pip install mlserver==1.7.1  && m/bin/python make.py mlserver
Seldon Core v2 and Triton have the same messages in protobuf: `inference.ModelInferRequest` and `ModelInferResponse`.
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
AMOUNT = [12.5, 99.0, 7.25]
CATEGORY = ["food", "fuel", "café"]
PROBABILITY = [[0.97, 0.03], [0.19, 0.81], [0.5, 0.5]]


def keep(name, data):
    (HERE / name).write_bytes(data)


def kserve():
    import numpy as np
    from kserve import InferInput, InferOutput, InferRequest, InferResponse

    def request(binary):
        amount = InferInput("amount", [3, 1], "FP32")
        amount.set_data_from_numpy(np.array(AMOUNT, dtype=np.float32).reshape(3, 1), binary_data=binary)
        category = InferInput("category", [3, 1], "BYTES")
        category.set_data_from_numpy(np.array(CATEGORY, dtype=object).reshape(3, 1), binary_data=binary)
        return InferRequest(model_name="fraud", request_id="r-1", infer_inputs=[amount, category])

    def response(binary, datatype):
        kind = {"FP64": np.float64, "FP16": np.float16}[datatype]
        output = InferOutput("probability", [3, 2], datatype)
        output.set_data_from_numpy(np.array(PROBABILITY, dtype=kind), binary_data=binary)
        return InferResponse(response_id="r-1", model_name="fraud", model_version="v2", infer_outputs=[output],
                             use_binary_outputs=binary)

    def rest(message):
        body, _ = message.to_rest()
        return body if isinstance(body, bytes) else json.dumps(body).encode()

    keep("kserve-request.json", rest(request(False)))
    keep("kserve-request-binary.bin", rest(request(True)))
    keep("kserve-request.pb", request(False).to_grpc().SerializeToString())
    keep("kserve-request-raw.pb", request(True).to_grpc().SerializeToString())
    keep("kserve-response.json", rest(response(False, "FP64")))
    keep("kserve-response-binary.bin", rest(response(True, "FP64")))
    keep("kserve-response-fp16.bin", rest(response(True, "FP16")))
    keep("kserve-response.pb", response(False, "FP64").to_grpc().SerializeToString())


def mlserver():
    import numpy as np
    from mlserver.codecs import NumpyCodec, StringCodec
    from mlserver.grpc.converters import ModelInferRequestConverter, ModelInferResponseConverter
    from mlserver.kafka.message import KafkaMessage
    from mlserver.types import InferenceRequest, InferenceResponse

    request = InferenceRequest(id="r-1", inputs=[
        NumpyCodec.encode_input("amount", np.array(AMOUNT, dtype=np.float32).reshape(3, 1)),
        StringCodec.encode_input("category", CATEGORY),
    ])
    response = InferenceResponse(id="r-1", model_name="fraud", model_version="v2", outputs=[
        NumpyCodec.encode_output("probability", np.array(PROBABILITY)),
    ])
    # As `mlserver.kafka.handlers` sends them.
    keep("mlserver-request.json", KafkaMessage.from_types("r-1", request, {}).encoded_value)
    keep("mlserver-response.json", KafkaMessage.from_types("r-1", response, {}).encoded_value)
    for name, raw in [("", False), ("-raw", True)]:
        message = ModelInferRequestConverter.from_types(request, model_name="fraud", model_version="v2", use_raw=raw)
        keep(f"mlserver-request{name}.pb", message.SerializeToString())
        message = ModelInferResponseConverter.from_types(response, use_raw=raw)
        keep(f"mlserver-response{name}.pb", message.SerializeToString())


{"kserve": kserve, "mlserver": mlserver}[sys.argv[1]]()
