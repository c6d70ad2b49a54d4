import { SinkProcess } from './sink/client';
import { durablePostgres, ownTemporal, processEnvironment, spawnWorker, stopTestProcesses, testSecrets } from '../test/support/stack';
import { CampaignWorld } from '../test/support/campaign-world';
async function main() {
  const n = Number(process.argv[2] ?? 5000);
  const postgres = await durablePostgres();
  const database = await postgres.database('bench');
  const temporal = await ownTemporal();
  const sink = await SinkProcess.start();
  const secrets = testSecrets();
  const env = { ...(await processEnvironment({ database, namespace: 'default', temporal: temporal.address, smtpUrl: `${sink.url}?tls=off`, secrets })), ...Object.fromEntries(Object.entries(process.env).filter(([k]) => k.startsWith('DELIVERY_') || k.startsWith('LOG_'))) };
  const control = await spawnWorker({ role: 'control', env });
  const delivery = await spawnWorker({ role: 'delivery', env: {...env, ...(process.env.PROF ? { NODE_OPTIONS: '--cpu-prof --cpu-prof-dir=/tmp/prof' } : {})} });
  console.log('workers up', control.url, delivery.url);
  const world = await CampaignWorld.create({ workerUrl: database.workerUrl, temporalAddress: temporal.address, namespace: 'default', suppressionKey: secrets.SALLY_SUPPRESSION_KEY }, n);
  console.log('world');
  const t = Date.now();
  const run = await world.startCampaign();
  try {
    const timer = setInterval(async () => console.log(((Date.now() - t) / 1000).toFixed(1), JSON.stringify(await world.counts(run).catch(() => null))), 2000);
    const counts = await world.untilSent(run, Number(process.argv[3] ?? 60_000));
    clearInterval(timer);
    console.log(n / ((Date.now() - t) / 1000), 'per second', counts, await sink.counts());
  } finally {
    await world.close();
    await sink.stop();
    await stopTestProcesses();
    await postgres.remove().catch(() => undefined);
  }
}
main().catch((e) => { console.error(e); process.exit(1); }).then(() => process.exit(0));
