# One image trains and serves: `docker run IMAGE train`, `docker run IMAGE serve`.
# What stands in wheelhouse/ is preferred to the package index: with a CPU wheel of torch there the image is a small
# CPU image; with an empty wheelhouse/ the index's CUDA build comes and the image runs on CPU and GPU instances alike.
ARG BASE_IMAGE=python:3.11-slim-bookworm

# The names of the dependencies alone, so that an edit elsewhere in pyproject.toml leaves the next stage cached.
FROM ${BASE_IMAGE} AS names
COPY pyproject.toml /
RUN python3 -c "import tomllib; \
project = tomllib.load(open('/pyproject.toml', 'rb'))['project']; \
extras = project['optional-dependencies']; \
print(*project['dependencies'], *extras['serve'], *extras['report'], *extras['container'], sep='\n')" > /requirements.in

# sagemaker-training is published as source with a C extension: the compiler stays in this stage.
FROM ${BASE_IMAGE} AS dependencies
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
COPY requirements.lock /
# uv installs in seconds what takes pip a minute or two; it stays in this stage.
RUN pip install --quiet --no-cache-dir --constraint /requirements.lock uv && uv venv --native-tls --quiet --seed /opt/venv
COPY wheelhouse /wheelhouse
COPY --from=names /requirements.in /
RUN uv pip install --native-tls --no-cache --compile-bytecode --python /opt/venv/bin/python \
      --find-links /wheelhouse --constraint /requirements.lock --requirement /requirements.in \
 && cd /opt/venv/lib/python3*/site-packages \
 && rm -rf torch/include torch/share \
 && find numpy scipy sympy networkx gevent psutil -type d -name tests -prune -exec rm -rf {} + \
 && find . -name '*.a' -delete

FROM dependencies AS package
COPY pyproject.toml README.md LICENSE /package/
COPY src /package/src
RUN /opt/venv/bin/pip wheel --no-cache-dir --no-deps --wheel-dir /dist /package

FROM ${BASE_IMAGE}
LABEL com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true \
      com.amazonaws.sagemaker.capabilities.multi-models=true \
      org.opencontainers.image.title="polyadic" \
      org.opencontainers.image.description="Tensor methods as a SageMaker container" \
      org.opencontainers.image.licenses="Apache-2.0"
# The NVIDIA pair makes the driver visible on a base image that is not NVIDIA's own; without a GPU it does nothing.
ENV PATH=/opt/program:/opt/venv/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=dependencies /opt/venv /opt/venv
# A CUDA build of torch brings Triton, which compiles its link to the driver at the first launch of a kernel.
RUN if ls -d /opt/venv/lib/python3*/site-packages/triton > /dev/null 2>&1; then \
      apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev \
      && rm -rf /var/lib/apt/lists/*; \
    fi
# matplotlib lists the fonts once, here rather than in every job.
RUN /opt/venv/bin/python -c "import matplotlib.font_manager"
COPY --from=package /dist /tmp/dist
RUN pip install --no-cache-dir --no-deps --no-index /tmp/dist/*.whl
COPY container /opt/program
# The kernels are compiled once, here rather than in every job.
RUN mkdir /opt/kernels && . /opt/program/kernels.sh && python3 -m polyadic.training.compile > /dev/null 2>&1
WORKDIR /opt/program
CMD ["train"]
