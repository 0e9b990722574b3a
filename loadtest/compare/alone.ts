// What is measured of Seawall by itself: the .fr minute, and a spool of a million. Takes a size, prints what it saw and says
// whether the goal was met. Everything is private and removed.

import { spawn } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SmtpClient } from '../../test/support/smtp-client.ts';
import { startDaemon } from '../daemon.ts';
import { fillSpool } from '../fill.ts';
import { Histogram } from '../parts/histogram.ts';
import { Registry } from '../parts/registry-run.ts';
import { noFailures, Sink } from '../parts/sink-server.ts';
import { freePort } from '../postfix.ts';
import { type FloodEnd, runFlood, smtpSource } from './generators.ts';

export interface Alone {
  readonly name: string;
  readonly words: string;
  /**
   * @param scale makes it smaller for a try
   * @param interrupted rejects when it is to end early; all is still ended and removed
   * @returns whether the goal was met
   */
  readonly run: (scale: number, interrupted: Promise<never>) => Promise<boolean>;
}

function p99(end: FloodEnd): number {
  const histogram = new Histogram();
  histogram.merge(end.latency);
  return histogram.quantile(0.99) / 1_000;
}

async function openingMinute(scale: number, interrupted: Promise<never>): Promise<boolean> {
  const sink = new Sink(noFailures, () => undefined);
  const relay = `smtp://127.0.0.1:${await sink.listen(0)}`;
  const daemon = await startDaemon(undefined, { SEAWALL_ACK_RELAYS: relay });
  const manners = { workers: 1, batch: 100, pace: 500, crashes: 0, pauseEvery: 0, pauseFor: 0, leaseMs: 60_000 };
  const registry = new Registry({ ...manners, port: daemon.soapPort }, () => undefined);
  const work = registry.run();
  try {
    const seconds = (of: number): string[] => ['--seconds', String(Math.max(2, of * scale))];
    const flood = (...words: string[]) => Promise.race([runFlood(daemon.smtpPort, words), interrupted]);
    const idle = await flood('--profile', 'steady', '--rate', '20', ...seconds(30));
    const minute = await flood('--profile', 'opening', '--quiet', '2', ...seconds(60));
    const above = p99(minute) - p99(idle);
    const clean = minute.refused === 0 && minute.lost === 0;
    console.log(
      `  ${minute.accepted} accepted, ${minute.refused} refused, ${minute.lost} without an answer; ` +
        `p99 ${p99(minute).toFixed(1)} ms, idle ${p99(idle).toFixed(1)} ms: ${above.toFixed(1)} ms above (goal at most 20)`,
    );
    return clean && above <= 20;
  } finally {
    registry.stop();
    await work;
    await daemon.stop();
    await sink.close();
  }
}

/** Resolves when a server on `port` has said 250 to a message. */
async function first250(port: number): Promise<void> {
  for (;;) {
    const smtp = new SmtpClient(port);
    try {
      await smtp.hello();
      if ((await smtp.send('Subject: first\r\n\r\n1a..: C\r\n')).startsWith('250')) return;
    } catch {
      // Not there yet.
    } finally {
      smtp.end();
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function mostMemory(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'latin1');
  return Math.round(Number(/VmHWM:\s+(\d+)/.exec(text)?.[1] ?? NaN) / 1_024);
}

async function atAMillion(scale: number, interrupted: Promise<never>): Promise<boolean> {
  const count = Math.max(1_000, Math.round(1_000_000 * scale));
  const port = await freePort();
  const sink = new Sink(noFailures, () => undefined);
  const relay = `smtp://127.0.0.1:${await sink.listen(0)}`;
  // The daemon makes the folder; it is filled between two runs of it.
  const first = await startDaemon('intake');
  await first.stop({ keepSpool: true });
  const { spool } = first;
  try {
    await Promise.race([fillSpool(spool, count), interrupted]);
    console.log(`  ${count} requests are spooled`);
    const began = performance.now();
    const settings = { SEAWALL_SPOOL_DIR: spool, SEAWALL_SMTP_PORT: String(port), SEAWALL_ACK_RELAYS: relay };
    const starting = startDaemon(undefined, settings);
    await Promise.race([first250(port), starting.then(() => first250(port))]);
    const startMs = performance.now() - began;
    const daemon = await starting;
    const manners = { workers: 1, batch: 100, pace: Infinity, crashes: 0, pauseEvery: 0, pauseFor: 0, leaseMs: 60_000 };
    const registry = new Registry({ ...manners, port: daemon.soapPort }, () => undefined);
    const work = registry.run();
    try {
      const load = { count: Math.max(2_000, Math.round(40_000 * scale)), bytes: 4_096, sessions: 100, kept: true };
      const rate = await Promise.race([smtpSource(port, load), interrupted]);
      const health = await fetch(`http://127.0.0.1:${daemon.adminPort}/health`);
      const { stages } = (await health.json()) as { stages: { stage: string; pid: number }[] };
      const memory = await Promise.all(stages.map(async ({ stage, pid }) => ({ stage, most: await mostMemory(pid) })));
      const said = memory.map(({ stage, most }) => `${stage} ${most} MB`).join(', ');
      console.log(`  start-up to the first 250: ${startMs.toFixed(0)} ms (goal at most 2000)`);
      console.log(`  most memory under load (${rate.toFixed(0)}/s): ${said} (goal at most 200 MB each)`);
      return startMs <= 2_000 && memory.every(({ most }) => most <= 200);
    } finally {
      registry.stop();
      await work;
      await daemon.stop();
    }
  } finally {
    await sink.close();
    await rm(spool, { recursive: true, force: true });
  }
}

/** Fetch and Confirm at a backlog of 1,000 and of a million: pull.ts says the figures. */
async function pulling(scale: number, interrupted: Promise<never>): Promise<boolean> {
  const backlog = Math.max(2_000, Math.round(1_000_000 * scale));
  const pulls = Math.max(2_000, Math.round(50_000 * scale));
  const words = ['--backlog', `1000,${backlog}`, '--pull', String(pulls), '--rounds', scale < 1 ? '1' : '3'];
  const args = [...process.execArgv, join(import.meta.dirname, '../pull.ts'), ...words];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const rates = new Map<string, number[]>();
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  interrupted.catch(() => child.kill('SIGTERM'));
  const code = await new Promise((resolve) => child.once('close', resolve));
  console.log(text.replace(/^/gm, '  ').trimEnd());
  for (const [, at = '', rate] of text.matchAll(/backlog (\d+): (\d+) requests/g)) {
    rates.set(at, [...(rates.get(at) ?? []), Number(rate)]);
  }
  const [small = NaN, big = NaN] = ['1000', String(backlog)].map(
    (at) =>
      rates
        .get(at)
        ?.toSorted((a, b) => a - b)
        .at(Math.floor((rates.get(at)?.length ?? 0) / 2)) ?? NaN,
  );
  console.log(
    `  ${big} requests a second at ${backlog} (goal at least 5000), ${(big / small).toFixed(2)} of that at 1,000 (goal 0.8)`,
  );
  return code === 0 && big >= 5_000 && big / small >= 0.8;
}

export const alone: readonly Alone[] = [
  { name: 'opening', words: 'the .fr minute: 12,000 requests, open loop, all stages', run: openingMinute },
  { name: 'million', words: 'start-up and memory at 1,000,000 spooled', run: atAMillion },
  { name: 'pull', words: 'Fetch and Confirm of 100 × 4 KB at a backlog of 1,000 and of 1,000,000', run: pulling },
];
