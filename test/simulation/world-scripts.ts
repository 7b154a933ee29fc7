/**
 * Histories that chance hardly makes, each the beginning of a strain of its own (draw.ts): what a rule that is broken on
 * purpose needs to be noticed. And what two of them do again and again.
 */
import { toHex } from '../../src/protocol/bytes.js'
import { fingerprints } from '../../src/store/fingerprints.js'
import { prune } from '../../src/store/pruning.js'
import type { Rows } from '../support/disk.js'
import type { MailDevice } from '../support/mail-world.js'
import type { SimDevice } from '../support/world.js'
import { rowsOf } from './rot.js'
import { CASES } from './sim.js'
import { FaultSimulation } from './world-faults.js'

const LAST_CASE = CASES[CASES.length - 1]!

export class ScriptedSimulation extends FaultSimulation {
  /** What the strain's script does before anything is left to chance. */
  protected async begin(): Promise<void> {
    const { strain } = this.draw
    if (strain === 'apart') await this.partWays()
    if (strain === 'handovers') await this.letIn()
    if (strain === 'doubted') await this.leaveInDoubt()
    if (strain === 'rotBehind') await this.fallBehind()
    if (strain === 'putBack') await this.goBack()
  }

  private async partWays(): Promise<void> {
    const { random } = this.world
    await this.writeOnTop()
    this.apartUntil = random() < 0.5 ? 1 : random.int(1, Math.floor(this.options.steps * 0.8))
    await this.forkTwice()
  }

  private async write(device: SimDevice, from: number, to: number): Promise<void> {
    for (let left = this.world.random.int(from, to); left > 0; left--) await this.edit(device)
  }

  private async stopAndCopy(device: SimDevice): Promise<void> {
    for (const before = this.snapshots.get(device); this.snapshots.get(device) === before; )
      await this.restart(device)
  }

  /**
   * One builds on what another wrote, and is put back: a third, which lacks that base, alone holds what was built. Who
   * wrote the base is in another place by then.
   */
  private async writeOnTop(): Promise<void> {
    const { world } = this
    const [holder, writer, builder] = world.devices as [SimDevice, SimDevice, SimDevice]
    await this.write(builder, 1, 3)
    await this.stopAndCopy(builder)
    await this.gather(holder)
    const between = world.connect(writer, builder)
    await world.quiesce()
    await this.edit(writer, LAST_CASE)
    while (world.deliver(between, false)) await world.settle(1)
    await this.edit(builder, LAST_CASE)
    const built = this.wireBetween(builder, holder)
    while (built && world.deliver(built, built.a === holder)) await world.settle(1)
    for (const wire of [...world.wires]) world.cut(wire)
    await this.rollBack(builder)
    await this.write(builder, 1, 3)
  }

  /** A copy of a folder is taken to another place, is gone on with there, and is itself put back and gone on with. */
  private async forkTwice(): Promise<void> {
    const { random } = this.world
    const owner = this.world.devices[0] as MailDevice
    await this.write(owner, 1, 4)
    await this.gather(owner)
    await this.stopAndCopy(owner)
    await this.addTwin(owner, false)
    const length = random.int(2, 5)
    await this.write(owner, length + 1, length + 3)
    await this.gather(owner)
    const twin = this.world.devices.at(-1)!
    if (toHex(twin.ed) !== toHex(owner.ed) || twin === owner) return
    await this.write(twin, length, length)
    await this.stopAndCopy(twin)
    await this.write(twin, 1, 3)
    await this.gather(twin)
    await this.rollBack(twin)
    await this.write(twin, 1, 3)
    await this.gather(twin)
  }

  /** A new device is given everything, twice broken off, by one that goes on writing. */
  private async letIn(): Promise<void> {
    const { random, devices, clock } = this.world
    const [giver, taker] = devices as [SimDevice, SimDevice]
    for (let left = random.int(25, 45); left > 0; left--) await this.edit(giver)
    for (let at = 0; at < 2; at++) {
      const wire = this.world.connect(giver, taker)
      for (let left = random.int(12, 30); left > 0; left--) {
        this.world.deliver(wire, random() < 0.4)
        await this.world.settle(1)
        if (taker.driver.isReceiving && at > 0 && random() < 0.3) {
          await this.edit(giver)
          clock.pass(300)
        }
      }
      if (at === 0) this.world.cut(wire)
      for (let left = random.int(1, 5); left > 0; left--) await this.edit(giver)
    }
  }

  /**
   * Whole states are broken off, and their giver is put back: nobody else has what came. It goes on, is put back once
   * more, and goes on another way, so that a third device cuts its log, and is gone then.
   */
  private async leaveInDoubt(): Promise<void> {
    const { world } = this
    const { random } = world
    const [giver, taker, third] = world.devices as [MailDevice, SimDevice, SimDevice]
    await this.write(giver, 1, 5)
    const before = await this.folderOf(giver)
    await this.write(giver, 2, 8)
    await prune(giver.replica, () => [], 0)
    const wire = world.connect(giver, taker)
    // The first cases have come, and the rest never does.
    for (let left = 99, more = random.int(1, 4); left > 0 && more > 0; left--) {
      world.deliver(wire, random() < 0.4)
      await world.settle(1)
      if (taker.replica.meta.total > 0) more--
    }
    world.cut(wire)
    await this.putBack(giver, before)
    await this.write(giver, 1, 10)
    const between = await this.folderOf(giver)
    for (let at = 0; at < 2; at++) {
      if (at > 0) await this.putBack(giver, between)
      await this.write(giver, 1, 4)
      await this.meetAlone(giver, third)
    }
    await this.die(giver)
  }

  /**
   * A case rots where it came with whole states. Before anybody else a device gives whole states of it, too, that has
   * written in it, and has not heard of all that was.
   */
  private async fallBehind(): Promise<void> {
    const { world } = this
    const { random } = world
    const [author, holder, other] = world.devices as [SimDevice, SimDevice, SimDevice]
    const caseId = random.pick(CASES)
    const writeIn = async (device: SimDevice) => {
      for (let left = random.int(1, 3); left > 0; left--)
        await this.edit(device, random() < 0.6 ? caseId : undefined)
      await this.edit(device, caseId)
    }
    await writeIn(author)
    await this.gather(other)
    for (const wire of [...world.wires]) world.cut(wire)
    await writeIn(author)
    await this.meetAlone(author, holder)
    await writeIn(other)
    for (const device of [holder, other]) await this.flush(device)
    // What it alone has written is only among what it retains then.
    const unretained = rowsOf(other, caseId).filter((name) => name[0] !== 'l')
    if (random() < 0.3) this.rotNow(other, unretained, random() < 0.5, false)
    this.oracle.drops = true
    for (const { replica } of [holder, other]) await prune(replica, () => [], 0)
    await this.flush(holder)
    this.rotNow(holder, rowsOf(holder, caseId), random() < 0.5, false)
    if (random() < 0.7) for await (const _ of fingerprints(holder.replica));
    await this.meetAlone(other, holder)
  }

  /**
   * Whole states come by mail to a device that was put back since it said how far it is: they begin where it is no more.
   * Or it has meanwhile met their giver when that had been put back itself and gone on another way.
   */
  private async goBack(): Promise<void> {
    const { random } = this.world
    const [giver, taker] = this.world.devices as [MailDevice, MailDevice]
    await this.write(giver, 1, 3)
    await this.meetAlone(giver, taker)
    const [givers, takers] = [await this.folderOf(giver), await this.folderOf(taker)]
    const more = random.int(1, 4)
    await this.write(giver, more, more)
    for (const device of [giver, taker, giver]) await super.alone(device)
    const further = await this.folderOf(giver)
    await this.putBack(taker, takers)
    if (random() < 0.5) {
      await this.putBack(giver, givers)
      await this.write(giver, more, more)
      await this.meetAlone(giver, taker)
      await this.putBack(giver, further)
    }
    await this.write(giver, 1, 2)
    this.oracle.drops = true
    await prune(giver.replica, () => [], 0)
    for (const device of [giver, taker]) await super.alone(device)
  }

  private async meetAlone(a: SimDevice, b: SimDevice): Promise<void> {
    const wire = this.world.connect(a, b)
    await this.world.quiesce()
    this.world.clock.pass(3_000)
    await this.world.quiesce()
    this.world.cut(wire)
  }

  /** A device's folder as a clean stop leaves it. */
  private async folderOf(device: SimDevice): Promise<Rows> {
    await this.stopAndCopy(device)
    return this.snapshots.get(device)!
  }

  /** Everybody in one place is connected for long enough: what one of them has, all have. */
  protected async gather(device: SimDevice): Promise<void> {
    this.note(`gather ${device.name}`)
    for (const each of this.live()) {
      each.disk.held = false
      each.disk.release()
      if (each !== device && toHex(each.ed) !== toHex(device.ed) && !this.isApart(each, device))
        if (!this.wireBetween(each, device)) this.world.connect(device, each)
    }
    await this.world.quiesce()
    this.world.clock.pass(3_000)
    await this.world.quiesce()
  }

  /** A giver of whole states goes on writing while they flow; the connection breaks in the midst, and another one goes on. */
  protected async handOver(device: SimDevice): Promise<void> {
    const { random, clock, wires } = this.world
    let wire = wires.find(({ a, b }) => a.driver.isReceiving || b.driver.isReceiving)
    if (!wire) return this.connect(device)
    const taker = wire.a.driver.isReceiving ? wire.a : wire.b
    this.note(`handover ${taker.name}`)
    for (let left = random.int(4, 24); left > 0; left--) {
      if (!wire.open) {
        const giver = random.pick(this.live())
        if (toHex(giver.ed) === toHex(taker.ed) || this.wireBetween(giver, taker)) continue
        wire = this.world.connect(giver, taker)
      }
      const isForA: boolean = (wire.a === taker) === random() < 0.6
      if (random() < 0.2) await this.edit(wire.a === taker ? wire.b : wire.a)
      if (random() < 0.2) clock.pass(300)
      this.world.deliver(wire, isForA)
      await this.world.settle(1)
      if (random() < 0.06) this.world.cut(wire)
    }
  }
}
