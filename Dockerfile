# syntax=docker/dockerfile:1

FROM node:20-bookworm-slim AS build
WORKDIR /paramedic
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/ scripts/
COPY src/ src/
RUN npm run build \
    && npm ci --omit=dev \
    # The links between the embedded Postgres's libraries are made here, since the running user may not write there.
    && node --input-type=module -e 'import { findPostgresBinaries } from "./dist/store/embedded-binaries.js"; await findPostgresBinaries(undefined)'

FROM node:20-bookworm-slim
ENV NODE_ENV=production \
    PARAMEDIC_LISTEN=0.0.0.0:9095
WORKDIR /paramedic
COPY --from=build /paramedic/package.json ./
COPY --from=build /paramedic/node_modules/ node_modules/
COPY --from=build /paramedic/dist/ dist/
COPY playbooks/ playbooks/
# Only the embedded Postgres writes here; with DATABASE_URL nothing does.
RUN install -d -o node -g node -m 700 var
USER node
VOLUME /paramedic/var
EXPOSE 9095
# Node is process 1: exec form, so that SIGTERM reaches it; the program drains and exits by itself. Run with `--init`
# where the embedded Postgres is used, so that somebody collects its ended children.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PARAMEDIC_LISTEN.split(':').pop()}/healthz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "dist/cli.js"]
CMD ["serve", "--config", "/etc/paramedic/paramedic.yaml"]
