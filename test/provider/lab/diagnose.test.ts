import t from 'tap';
import { redactKeys } from '../../../lib/provider/lab/diagnose.ts';

t.test('private and pre-shared keys are left out, public ones stay', async (t) => {
  const secret = 'yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=';
  const text = [
    `PrivateKey = ${secret}`,
    `PresharedKey=${secret}`,
    `private key: ${secret}`,
    `private_key=${secret}`,
    `-----BEGIN PRIVATE KEY-----\n${secret}\n-----END PRIVATE KEY-----`,
    'public key: abc',
  ].join('\n');
  t.notMatch(redactKeys(text), secret);
  t.match(redactKeys(text), 'public key: abc');
});
