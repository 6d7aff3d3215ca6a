/** What is used of the client library, apart from the rest: it has a class for every kind and every call of the API. */
export { Exec, IsomorphicFetchHttpLibrary, KubeConfig, RequestContext } from '@kubernetes/client-node';
