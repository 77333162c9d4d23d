import logging
import pytest
from tests.acceptance.kill_storm import KillStorm, play
@pytest.mark.timeout(400)
@pytest.mark.parametrize("env,stopped", [
  ({"KAFKA_DELIVERY": "exactly_once","KAFKA_GROUP_PROTOCOL":"consumer"}, 9.0),
  ({"KAFKA_DELIVERY": "exactly_once","KAFKA_ASSIGNMENT_STRATEGY":"range"}, 5.0),
  ({"KAFKA_DELIVERY": "at_least_once"}, 5.0)], ids=["kip848","range","alo"])
async def test_x(stage, env, stopped):
    v = await play(stage, KillStorm(tasks=1500,kills=12,stops=3,seed=7,environment=env,stopped_s=stopped))
    open("/tmp/eo_extra/out","a").write(f"{env} {dict(v.counts)} {v.wrong[:3]}\n")
