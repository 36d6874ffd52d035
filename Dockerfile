# docker build -t tidegate .
# docker run --rm --env-file .env tidegate check

FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY migrations migrations
COPY scripts scripts
COPY src src
RUN node scripts/build.mjs

FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund && npm cache clean --force
COPY --from=build /app/dist dist
RUN ln -s /app/dist/src/main.js /usr/local/bin/tidegate && chmod +x dist/src/main.js
# An account that owns nothing here; Tidegate writes no file.
USER node
# It ends at the next commit.
STOPSIGNAL SIGTERM
# By Node, because the slim image has no curl. It asks where `run` listens by default: with another port in LISTEN, or with
# LISTEN=off, give the container another check or none (`docker run --no-healthcheck`).
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["node", "-e", "fetch('http://127.0.0.1:8787/healthz').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["tidegate"]
CMD ["run"]
