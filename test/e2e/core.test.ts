/** The run that a newcomer makes: two clusters, every core check. */
import t from 'tap';
import { judgeAgain } from './fixtures/judgeAgain.ts';
import { FILE_LIMIT_MS, Home, endedWith, leftOf, skip, tallyOf } from './fixtures/home.ts';
import { junitErrors } from './fixtures/junit.ts';

t.setTimeout(FILE_LIMIT_MS);

/** What depends on how busy the machine is may fail or stay open here; nothing else may. */
const TIMED = /^(failover|performance)\./;

void t.test('every core check, two clusters', { skip }, async (t) => {
  const home = new Home(t);
  const ended = await home.run(['--yes']);
  const results = home.results();
  endedWith(t, ended, results.exitCode);
  t.match(results.headline, /^underlay: /);
  const others = tallyOf({ cases: results.cases.filter(({ id }) => !TIMED.test(id)) });
  t.strictSame({ ...others, passed: [] }, { failed: {}, passed: [], skipped: [], doubtful: [], blocked: [] });
  t.equal(results.ended, 'completed');
  t.strictSame(await junitErrors(home.at('mcnet-report', 'junit.xml')), []);
  t.strictSame(await leftOf(results.run, home), []);
  await judgeAgain(t, home, results.exitCode);
});
