# The demonstration, on CPUs:
#     docker build -t tune_audio . && docker run --rm --shm-size=2g -v "$PWD:/work" tune_audio
# Your recordings, on a GPU (the build argument is the end of an address: cu126, cu130 …):
#     docker build -t tune_audio-cuda --build-arg TORCH=cu130 .
#     docker run --rm --gpus all --shm-size=2g -v "$PWD:/work" -v FOLDER:/data:ro tune_audio-cuda search --space own --data /data
# For cluster/kuberay.yaml, add --build-arg EXTRAS=demo,kuberay.
# Results, MLflow's database and the cache are written to /work, which is to be a folder of yours.
FROM python:3.11-slim

ARG TORCH=cpu
ARG EXTRAS=demo
WORKDIR /src
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY search_spaces search_spaces
COPY tune_audio tune_audio
RUN pip install --no-cache-dir 'torch>=2.13,<2.14' --index-url "https://download.pytorch.org/whl/$TORCH"
RUN pip install --no-cache-dir ".[$EXTRAS]"

WORKDIR /work
ENV TUNE_AUDIO_CACHE=/work/.tune_audio_cache
ENTRYPOINT ["tune-audio"]
CMD ["search", "--space", "speech4"]
