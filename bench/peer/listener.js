// The listener of the monitoring procedures, as a team would run it: LISTEN job_failure, one POST per notification.
// The POST is node-fetch's, as there, or with FETCH=global that of Node itself, whichever is asked for.
const { Client } = require('pg');

const fetch = process.env.FETCH === 'global' ? globalThis.fetch : require('node-fetch');
const client = new Client({ connectionString: process.env.DATABASE_URL });

async function post(run) {
  const answer = await fetch(process.env.SLACK_WEBHOOK_URL, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({
      text: `:rotating_light: Job Failed: ${run.job_name}`,
      blocks: [
        { type: 'section', text: { type: 'mrkdwn', text: `*Error:* ${run.error_message}\n*Time:* ${run.alert_time}` } },
      ],
    }),
  });
  await answer.text();
}

async function main() {
  await client.connect();
  client.on('notification', async (message) => {
    const run = JSON.parse(message.payload);
    try {
      await post(run);
      console.log('sent', run.job_name);
    } catch (error) {
      console.error('not sent', run.job_name, error.message);
    }
  });
  await client.query('LISTEN job_failure');
  setInterval(() => client.query('SELECT 1'), 60000);
  console.log('listening');
}

main();
