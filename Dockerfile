# docker build -t tidegate .
# docker run --rm --env-file .env tidegate check

FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY migrations migrations
COPY src src
RUN node node_modules/.bin/tsc --project tsconfig.build.json

FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund && npm cache clean --force
COPY --from=build /app/dist dist
RUN ln -s /app/dist/src/cli.js /usr/local/bin/tidegate && chmod +x dist/src/cli.js
# An account that owns nothing here; Tidegate writes no file.
USER node
# It ends at the next commit.
STOPSIGNAL SIGTERM
ENTRYPOINT ["tidegate"]
CMD ["run"]
