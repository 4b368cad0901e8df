// The whole system in one resource group: storage, events, functions, Batch, FHIR, logs.
// Nothing here is a secret: every caller is a managed identity, every account refuses its keys.
targetScope = 'subscription'

@minLength(1)
@maxLength(40)
@description('Name of the azd environment; the names of all resources derive from it.')
param environmentName string

@minLength(1)
@description('Azure region. It must offer Flex Consumption and, unless fhirUrl is given, Azure Health Data Services.')
param location string

@description('Tag of the worker image in the registry. It changes with the code, so that a node never runs an old image under a new name.')
param workerImageTag string

@description('Base URL of an existing FHIR R4 server. Empty: a FHIR service is created here.')
param fhirUrl string = ''

@description('Token audience of fhirUrl. Empty: its base URL.')
param fhirAudience string = ''

@description('The performing laboratory as the report shows it.')
param laboratoryName string = 'Clinical genomics laboratory'

@description('URI under which the laboratory issues identifiers, such as its domain.')
param laboratorySystem string

@description('Object id of the person or pipeline that uploads reference bundles and looks at results. Empty: nobody gets a data role.')
param operatorPrincipalId string = ''

@allowed(['User', 'Group', 'ServicePrincipal'])
@description('What kind of principal operatorPrincipalId is.')
param operatorPrincipalType string = 'User'

@allowed(['Standard_LRS', 'Standard_GRS', 'Standard_RAGRS'])
@description('Redundancy of the data account. Zone-redundant kinds are left out: they have no archive tier.')
param dataRedundancy string = 'Standard_LRS'

@minValue(1)
@description('Days after which uploaded FASTQ goes to the archive tier. Leaving the cold tier before 90 days costs Azure\'s early-deletion fee.')
param landingArchiveAfterDays int = 30

@minValue(2)
@description('Days after which chunks, parts and markers of an analysis are deleted. Must exceed the longest time an analysis may stay open.')
param workDeleteAfterDays int = 14

@minValue(1)
@maxValue(365)
@description('Days for which a deleted blob can be brought back.')
param softDeleteDays int = 7

@minValue(30)
@description('Days for which logs are kept.')
param logRetentionDays int = 90

@description('Size of the Batch nodes; it needs a local disk for the reference bundle and sorting, and memory for one aligner index per node beside the tasks (docs/architecture.md).')
param nodeSize string = 'Standard_E16ds_v5'

@minValue(1)
@maxValue(256)
@description('Cores of nodeSize. A task slot is one core.')
param nodeCores int = 16

@minValue(1)
@maxValue(256)
@description('Slots, and so threads, of one align or call task.')
param taskSlots int = 4

@minValue(0)
@description('Upper limit of dedicated nodes. The quota of a new Batch account may be zero: ask for cores first.')
param maxDedicatedNodes int = 4

@minValue(0)
@description('Upper limit of spot nodes. Above zero the Batch account allocates in this subscription, which needs batchServicePrincipalId.')
param maxSpotNodes int = 0

@description('Object id of the enterprise application "Microsoft Azure Batch" in this tenant. Needed for spot nodes only.')
param batchServicePrincipalId string = ''

@minValue(1)
@maxValue(1000)
@description('Upper limit of function instances.')
param maxFunctionInstances int = 40

var token = toLower(uniqueString(subscription().id, environmentName, location))
var tags = { 'azd-env-name': environmentName }
var names = {
  data: 'stdata${token}'
  lake: 'stlake${token}'
  host: 'sthost${token}'
  appIdentity: 'id-app-${token}'
  nodeIdentity: 'id-node-${token}'
  workspace: 'log-${token}'
  insights: 'appi-${token}'
  registry: 'cr${token}'
  batch: 'ba${token}'
  vault: 'kv-${token}'
  fhirWorkspace: 'hw${token}'
  fhirService: 'fhir'
  systemTopic: 'egst-${token}'
  completedTopic: 'egt-completed-${token}'
  plan: 'plan-${token}'
  functions: 'func-${token}'
}
var poolName = 'genomics'
var packageContainer = 'app-package'
var lakeContainer = 'lake'
var dataContainers = ['landing', 'work', 'results', 'reference']
var completedQueue = 'completed'

// The queues and the dead-letter containers are the ones that the subscriptions name: one list for cloud and local stack.
var subscriptions = loadJsonContent('subscriptions.json')
var subscribedQueues = map(subscriptions, entry => entry.queue)
var deadLetterContainers = reduce(
  map(subscriptions, entry => entry.deadLetterContainer),
  [],
  (found, next) => contains(found, next) ? found : concat(found, [next])
)
var workQueues = union(subscribedQueues, [completedQueue])
var poisonQueues = map(subscribedQueues, queue => '${queue}-poison')

var useSpot = maxSpotNodes > 0
var createFhir = empty(fhirUrl)
var workerImage = '${registry.outputs.loginServer}/batch-worker:${workerImageTag}'
var fhirBaseUrl = createFhir ? 'https://${names.fhirWorkspace}-${names.fhirService}.fhir.azurehealthcareapis.com' : fhirUrl

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module identities 'modules/identities.bicep' = {
  scope: group
  name: 'identities'
  params: {
    location: location
    tags: tags
    appIdentityName: names.appIdentity
    nodeIdentityName: names.nodeIdentity
  }
}

module monitoring 'modules/monitoring.bicep' = {
  scope: group
  name: 'monitoring'
  params: {
    location: location
    tags: tags
    workspaceName: names.workspace
    insightsName: names.insights
    retentionDays: logRetentionDays
  }
}

// FASTQ, intermediate files, results and reference bundles.
module dataStorage 'modules/storage.bicep' = {
  scope: group
  name: 'data-storage'
  params: {
    location: location
    tags: tags
    name: names.data
    redundancy: dataRedundancy
    containers: union(dataContainers, deadLetterContainers)
    queues: union(workQueues, poisonQueues)
    softDeleteDays: softDeleteDays
    auditWorkspaceId: monitoring.outputs.workspaceId
  }
}

module dataLifecycle 'modules/lifecycle.bicep' = {
  scope: group
  name: 'data-lifecycle'
  params: {
    accountName: dataStorage.outputs.name
    landingContainer: dataContainers[0]
    workContainer: dataContainers[1]
    landingArchiveAfterDays: landingArchiveAfterDays
    workDeleteAfterDays: workDeleteAfterDays
  }
}

// Delta tables for Power BI and cohort queries.
module lakeStorage 'modules/storage.bicep' = {
  scope: group
  name: 'lake-storage'
  params: {
    location: location
    tags: tags
    name: names.lake
    redundancy: dataRedundancy
    hierarchicalNamespace: true
    containers: [lakeContainer]
    softDeleteDays: softDeleteDays
    auditWorkspaceId: monitoring.outputs.workspaceId
  }
}

// The Functions host's own leases and the deployed package; apart, so that its owner role covers no patient data.
module hostStorage 'modules/storage.bicep' = {
  scope: group
  name: 'host-storage'
  params: {
    location: location
    tags: tags
    name: names.host
    containers: [packageContainer]
  }
}

module registry 'modules/registry.bicep' = {
  scope: group
  name: 'registry'
  params: {
    location: location
    tags: tags
    name: names.registry
  }
}

// Batch allocates spot nodes only in the customer's own subscription: it needs this role on the subscription ...
resource batchOrchestration 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (useSpot) {
  name: guid(subscription().id, batchServicePrincipalId, 'a35466a1-cfd6-450a-b35e-683fcdf30363')
  properties: {
    // Azure Batch Service Orchestration Role
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'a35466a1-cfd6-450a-b35e-683fcdf30363')
    principalId: batchServicePrincipalId
    principalType: 'ServicePrincipal'
  }
}

// ... and a key vault of its own, both before the account is created.
module vault 'modules/vault.bicep' = if (useSpot) {
  scope: group
  name: 'batch-vault'
  params: {
    location: location
    tags: tags
    name: names.vault
    batchServicePrincipalId: batchServicePrincipalId
  }
}

module batch 'modules/batch.bicep' = {
  scope: group
  name: 'batch'
  params: {
    location: location
    tags: tags
    accountName: names.batch
    poolName: poolName
    nodeIdentityId: identities.outputs.nodeIdentityId
    registryServer: registry.outputs.loginServer
    workerImage: workerImage
    nodeSize: nodeSize
    nodeCores: nodeCores
    taskSlots: taskSlots
    maxDedicatedNodes: maxDedicatedNodes
    maxSpotNodes: maxSpotNodes
    vaultName: useSpot ? names.vault : ''
    logWorkspaceId: monitoring.outputs.workspaceId
  }
  dependsOn: [vault, batchOrchestration]
}

module fhir 'modules/fhir.bicep' = if (createFhir) {
  scope: group
  name: 'fhir'
  params: {
    location: location
    tags: tags
    workspaceName: names.fhirWorkspace
    serviceName: names.fhirService
    audience: fhirBaseUrl
    logWorkspaceId: monitoring.outputs.workspaceId
  }
}

module topics 'modules/topics.bicep' = {
  scope: group
  name: 'topics'
  params: {
    location: location
    tags: tags
    systemTopicName: names.systemTopic
    completedTopicName: names.completedTopic
    dataAccountId: dataStorage.outputs.id
  }
}

module roles 'modules/roles.bicep' = {
  scope: group
  name: 'roles'
  params: {
    dataAccountName: dataStorage.outputs.name
    lakeAccountName: lakeStorage.outputs.name
    hostAccountName: hostStorage.outputs.name
    lakeContainer: lakeContainer
    nodeContainers: ['work', 'results', 'reference']
    deadLetterContainers: deadLetterContainers
    registryName: registry.outputs.name
    batchAccountName: batch.outputs.accountName
    completedTopicName: topics.outputs.completedTopicName
    insightsName: monitoring.outputs.insightsName
    createFhir: createFhir
    fhirWorkspaceName: names.fhirWorkspace
    fhirServiceName: names.fhirService
    appPrincipalId: identities.outputs.appPrincipalId
    nodePrincipalId: identities.outputs.nodePrincipalId
    systemTopicPrincipalId: topics.outputs.systemTopicPrincipalId
    completedTopicPrincipalId: topics.outputs.completedTopicPrincipalId
    operatorPrincipalId: operatorPrincipalId
    operatorPrincipalType: operatorPrincipalType
  }
  dependsOn: [fhir]
}

// Event Grid tries its identity on the queue when a subscription is made, so the roles come first.
module eventSubscriptions 'modules/subscriptions.bicep' = {
  scope: group
  name: 'event-subscriptions'
  params: {
    systemTopicName: topics.outputs.systemTopicName
    completedTopicName: topics.outputs.completedTopicName
    completedQueue: completedQueue
    completedDeadLetterContainer: deadLetterContainers[0]
    dataAccountId: dataStorage.outputs.id
  }
  dependsOn: [roles]
}

module functions 'modules/functions.bicep' = {
  scope: group
  name: 'functions'
  params: {
    location: location
    tags: union(tags, { 'azd-service-name': 'functions' })
    name: names.functions
    planName: names.plan
    identityId: identities.outputs.appIdentityId
    identityClientId: identities.outputs.appClientId
    hostAccountName: hostStorage.outputs.name
    packageContainer: packageContainer
    insightsName: monitoring.outputs.insightsName
    dataBlobEndpoint: dataStorage.outputs.blobEndpoint
    dataQueueEndpoint: dataStorage.outputs.queueEndpoint
    lakeBlobEndpoint: lakeStorage.outputs.blobEndpoint
    batchEndpoint: batch.outputs.endpoint
    batchPool: poolName
    batchTaskSlots: taskSlots
    workerImage: workerImage
    workerClientId: identities.outputs.nodeClientId
    fhirUrl: fhirBaseUrl
    fhirAudience: createFhir || empty(fhirAudience) ? fhirBaseUrl : fhirAudience
    completedTopicEndpoint: topics.outputs.completedTopicEndpoint
    laboratoryName: laboratoryName
    laboratorySystem: laboratorySystem
    maxInstances: maxFunctionInstances
  }
  dependsOn: [roles]
}

output AZURE_RESOURCE_GROUP string = group.name
output AZURE_CONTAINER_REGISTRY_NAME string = registry.outputs.name
output WORKER_IMAGE string = workerImage
output DATA_ACCOUNT string = dataStorage.outputs.name
output LANDING_URL string = '${dataStorage.outputs.blobEndpoint}${dataContainers[0]}'
output LAKE_URL string = '${lakeStorage.outputs.blobEndpoint}${lakeContainer}'
output FHIR_URL string = fhirBaseUrl
output API_URL string = functions.outputs.url
