// A yardstick: stripe/sync-engine behind Node's own HTTP server. It has as many processes as the gateway's web.
const cluster = require("node:cluster");
const http = require("node:http");
const { StripeSync, runMigrations } = require("@supabase/stripe-sync-engine");

const { DATABASE_URL, PORT, PROCESSES, SECRET } = process.env;

async function receive(sync, request, response) {
  const parts = [];
  for await (const part of request) parts.push(part);
  let status = 200;
  try {
    await sync.processWebhook(Buffer.concat(parts), request.headers["stripe-signature"]);
  } catch (error) {
    console.error(error);
    status = 500;
  }
  response.writeHead(status, { "Content-Length": "0" }).end();
}

async function start() {
  await runMigrations({ databaseUrl: DATABASE_URL, schema: "stripe", logger: console });
  for (let number = 0; number < Number(PROCESSES); number += 1) cluster.fork();
}

function serve() {
  const sync = new StripeSync({
    poolConfig: { connectionString: DATABASE_URL, max: 10 },
    stripeSecretKey: "sk_test_benchmark",
    stripeWebhookSecret: SECRET,
  });
  http.createServer((request, response) => receive(sync, request, response)).listen(Number(PORT), "127.0.0.1");
}

if (cluster.isPrimary) start();
else serve();
