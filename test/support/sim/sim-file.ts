// The content of one simulated file, twice: what programs see (the page cache) and what is on stable storage. Sector by
// sector, so that a crash can keep one and lose its neighbour; the length is apart from the bytes, as it is on a disk.

import type { Random } from './random.ts';

function grown(buffer: Buffer, size: number): Buffer {
  if (buffer.length >= size) return buffer;
  const larger = Buffer.alloc(Math.max(size, buffer.length * 2, 512));
  buffer.copy(larger);
  return larger;
}

export class SimFile {
  readonly sector: number;
  #cache: Buffer = Buffer.alloc(0);
  #disk: Buffer = Buffer.alloc(0);
  #diskSize = 0;
  /** Sectors that differ, or may differ, and that a sync will write. */
  #dirty = new Set<number>();
  /** Sectors that a failed sync has given up: still seen, called clean, never written (Linux). */
  #lost = new Set<number>();
  #sizeDirty = false;
  #sealedOnDisk = false;
  size = 0;
  sealed = false;

  constructor(sector: number) {
    this.sector = sector;
  }

  read(into: Uint8Array, position: number): number {
    const count = Math.max(0, Math.min(into.length, this.size - position));
    into.set(this.#cache.subarray(position, position + count));
    return count;
  }

  content(): Buffer {
    return Buffer.from(this.#cache.subarray(0, this.size));
  }

  write(data: Uint8Array, position: number): void {
    if (data.length === 0) return;
    const end = position + data.length;
    this.#cache = grown(this.#cache, end);
    this.#cache.set(data, position);
    for (let sector = Math.floor(position / this.sector); sector * this.sector < end; sector++) {
      this.#dirty.add(sector);
      this.#lost.delete(sector);
    }
    if (end > this.size) {
      this.size = end;
      this.#sizeDirty = true;
    }
  }

  empty(): void {
    if (this.size > 0) this.#sizeDirty = true;
    this.#cache.fill(0);
    this.size = 0;
    this.#dirty.clear();
    this.#lost.clear();
  }

  #persist(sector: number): void {
    const from = sector * this.sector;
    const to = Math.min(from + this.sector, this.#cache.length);
    this.#disk = grown(this.#disk, to);
    this.#cache.copy(this.#disk, from, from, to);
  }

  #persistSize(size: number): void {
    this.#disk = grown(this.#disk, size);
    if (size < this.#diskSize) this.#disk.fill(0, size);
    this.#diskSize = size;
    this.#sizeDirty = false;
  }

  /** fdatasync: bytes and length, not the mode. */
  sync(): void {
    if (this.#sizeDirty) this.#persistSize(this.size);
    for (const sector of this.#dirty) this.#persist(sector);
    this.#dirty.clear();
  }

  /** A sync that fails: some of it is written, the rest is dropped, and nobody will be told again. */
  failSync(random: Random): void {
    if (this.#sizeDirty && random.chance(0.5)) this.#persistSize(this.size);
    this.#sizeDirty = false;
    for (const sector of this.#dirty) {
      if (random.chance(0.4)) this.#persist(sector);
      else this.#lost.add(sector);
    }
    this.#dirty.clear();
  }

  /** The cache lets go of clean pages: what a failed sync has dropped is seen no more. */
  evict(): void {
    for (const sector of this.#lost) {
      const from = sector * this.sector;
      const to = Math.min(from + this.sector, this.#cache.length);
      this.#cache.fill(0, from, to);
      if (from < this.#disk.length) this.#disk.copy(this.#cache, from, from, to);
    }
    this.#lost.clear();
  }

  /** The power goes: of what was not synced any part may have reached the disk. */
  crash(random: Random): void {
    const share = random.pick([0, 0, 1, 1, 0.5, 0.9, 0.1]);
    const sorted = [...this.#dirty].toSorted((a, b) => a - b);
    const kept = random.chance(0.3) ? sorted.slice(0, random.between(0, sorted.length)) : sorted;
    const chosen = kept.filter(() => random.chance(share));
    if (this.#sizeDirty) {
      const between = Math.min(this.size, this.#diskSize) + random.below(Math.abs(this.size - this.#diskSize) + 1);
      const size = random.pick([this.size, this.size, this.#diskSize, between]);
      const old = this.#diskSize;
      this.#persistSize(size);
      // Bytes that were never written are zeros, whatever stood in the cache.
      if (size > old) this.#disk.fill(0, old, size);
    }
    for (const sector of chosen) this.#persist(sector);
    this.#disk.fill(0, this.#diskSize);
    this.size = this.#diskSize;
    this.#cache = Buffer.from(this.#disk);
    this.#dirty.clear();
    this.#lost.clear();
    this.#sealedOnDisk ||= this.sealed && random.chance(0.7);
    this.sealed = this.#sealedOnDisk;
  }

  /** Damages a byte where nobody will notice before it is read: on the disk and in the cache. */
  rot(position: number): void {
    for (const buffer of [this.#cache, this.#disk]) buffer[position] = (buffer[position] ?? 0) ^ 0x10;
  }

  clone(): SimFile {
    const copy = new SimFile(this.sector);
    copy.#cache = Buffer.from(this.#cache);
    copy.#disk = Buffer.from(this.#disk);
    copy.#diskSize = this.#diskSize;
    copy.#dirty = new Set(this.#dirty);
    copy.#lost = new Set(this.#lost);
    copy.#sizeDirty = this.#sizeDirty;
    copy.#sealedOnDisk = this.#sealedOnDisk;
    copy.size = this.size;
    copy.sealed = this.sealed;
    return copy;
  }
}
