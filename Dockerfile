# One image for every process of ours; docker-compose.yml says which command a container runs.
FROM python:3.11-slim AS build

# Another index to find wheels in, for example one with the CPU build of torch: the default build
# for Linux on x86-64 brings CUDA and several gigabytes. Empty means the default index alone.
ARG PIP_EXTRA_INDEX_URL=""

ENV PATH=/opt/unroll/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python -m venv /opt/unroll

# The dependencies are a layer of their own, so a change of our code does not fetch them again.
COPY pyproject.toml requirements.lock ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; print(*p["dependencies"], *p["optional-dependencies"]["datasets"], sep="\n")' > wanted.txt \
    && pip install -c requirements.lock -r wanted.txt hatchling

COPY README.md LICENSE ./
COPY shared shared
COPY migrations migrations
COPY workers workers
COPY services services
RUN pip install --no-deps --no-build-isolation --no-cache-dir .


FROM python:3.11-slim

RUN groupadd --gid 10001 unroll \
    && useradd --uid 10001 --gid unroll --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin unroll
COPY --from=build /opt/unroll /opt/unroll
# torch for CUDA brings Triton, which compiles what starts our kernels on a GPU with a C compiler.
# No versions: Debian's mirrors hold none but the newest of a release.
# hadolint ignore=DL3008
RUN if [ -d /opt/unroll/lib/python3.11/site-packages/triton ]; then \
        apt-get update \
        && apt-get install --yes --no-install-recommends gcc libc6-dev \
        && rm -rf /var/lib/apt/lists/*; \
    fi
# No bytecode: the root file system may be read-only.
# numba and Triton keep what they compiled under /tmp; the rest is not the user's to write to
ENV PATH=/opt/unroll/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/tmp/numba TRITON_CACHE_DIR=/tmp/triton
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000 8001
CMD ["unroll", "--help"]
