"""No descriptor left: a state with a pause, a metric and a line, and nothing worse."""
import asyncio
import stat

import gateway as harness


async def test_descriptors_run_out_and_come_back(gateways, peers, db, name, tmp_path, monkeypatch):
    program = tmp_path / "few-descriptors"
    program.write_text(f'#!/bin/sh\nulimit -n 64\nexec "{harness.BINARY}" "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(harness, "BINARY", str(program))
    gateway = gateways.start()
    await db.fcall("sg_var_set", name, "1")
    first = await peers(gateway)
    await first.subscribed("var", name)
    crowd = [await asyncio.open_connection(*gateway.address) for _ in range(100)]  # the kernel's queue takes who is not accepted

    async def warned():
        return "accepting pauses" in gateway.stderr()

    await harness.until(warned, "the gateway says that descriptors ran out")
    await db.fcall("sg_var_set", name, "2")  # whoever is connected notices nothing
    await first.until(lambda: first.state.value(name) == "2", "the change")
    for _, writer in crowd:
        writer.close()
    late = await peers(gateway)
    await late.subscribed("var", name)
    assert await gateway.metric("syncgate_accept_failures_total") > 0
    assert len(gateway.stderr().splitlines()) < 200, "the log is not flooded"
