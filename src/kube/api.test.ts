import { KubeClient } from './client.ts';
import { FakeApi } from './fake.ts';
import { FakeServer } from './fake-server.ts';
import { apiSuite } from './suite.ts';

apiSuite('the model in memory', async () => ({ api: new FakeApi(), stop() {} }));

apiSuite('KubeClient to the model over HTTP', async () => {
  const server = await FakeServer.listen(new FakeApi());
  const client = new KubeClient({ server: server.url });
  return {
    api: client,
    async stop() {
      client[Symbol.dispose]();
      await server[Symbol.asyncDispose]();
    },
  };
});
