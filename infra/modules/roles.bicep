// Who may do what. Every assignment is to a managed identity (or the operator) on the narrowest scope that serves;
// the two roles that Batch itself needs for spot nodes come before its account and lie in main.bicep and vault.bicep.
param dataAccountName string
param lakeAccountName string
param hostAccountName string
param lakeContainer string
param nodeContainers array
param deadLetterContainers array
param registryName string
param batchAccountName string
param completedTopicName string
param insightsName string
param createFhir bool
param fhirWorkspaceName string
param fhirServiceName string
param appPrincipalId string
param nodePrincipalId string
param systemTopicPrincipalId string
param completedTopicPrincipalId string
param operatorPrincipalId string
param operatorPrincipalType string

var roleIds = {
  blobOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b' // Storage Blob Data Owner
  blobContributor: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe' // Storage Blob Data Contributor
  blobReader: '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1' // Storage Blob Data Reader
  queueContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88' // Storage Queue Data Contributor
  queueSender: 'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a' // Storage Queue Data Message Sender
  tableContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3' // Storage Table Data Contributor
  batchJobs: '48e5e92e-a480-4e71-aa9c-2778f4c13781' // Azure Batch Job Submitter
  fhirContributor: '5a1fc7df-4bf1-4951-a576-89034ee01acd' // FHIR Data Contributor
  eventSender: 'd5a91429-5739-47e2-a06b-3470a27159e7' // EventGrid Data Sender
  acrPull: '7f951dda-4ed3-4680-a7ca-43fe172d538d' // AcrPull
  metricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb' // Monitoring Metrics Publisher
}
var definitions = mapValues(roleIds, id => subscriptionResourceId('Microsoft.Authorization/roleDefinitions', id))

resource dataAccount 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: dataAccountName
}

resource dataBlobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' existing = {
  parent: dataAccount
  name: 'default'
}

resource nodeBlobContainers 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' existing = [
  for container in nodeContainers: {
    parent: dataBlobs
    name: container
  }
]

resource deadLetters 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' existing = [
  for container in deadLetterContainers: {
    parent: dataBlobs
    name: container
  }
]

resource lakeAccount 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: lakeAccountName
}

resource lakeBlobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' existing = {
  parent: lakeAccount
  name: 'default'
}

resource lake 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' existing = {
  parent: lakeBlobs
  name: lakeContainer
}

resource hostAccount 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: hostAccountName
}

resource registry 'Microsoft.ContainerRegistry/registries@2023-07-01' existing = {
  name: registryName
}

resource batchAccount 'Microsoft.Batch/batchAccounts@2025-06-01' existing = {
  name: batchAccountName
}

resource completedTopic 'Microsoft.EventGrid/topics@2025-02-15' existing = {
  name: completedTopicName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource fhirWorkspace 'Microsoft.HealthcareApis/workspaces@2024-03-31' existing = {
  name: fhirWorkspaceName
}

resource fhirService 'Microsoft.HealthcareApis/workspaces/fhirservices@2024-03-31' existing = {
  parent: fhirWorkspace
  name: fhirServiceName
}

// --- function app ---

// The host keeps leases, keys and the package in its own account.
resource appOwnsHostBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: hostAccount
  name: guid(hostAccount.id, appPrincipalId, roleIds.blobOwner)
  properties: {
    roleDefinitionId: definitions.blobOwner // Storage Blob Data Owner
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource appUsesHostQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: hostAccount
  name: guid(hostAccount.id, appPrincipalId, roleIds.queueContributor)
  properties: {
    roleDefinitionId: definitions.queueContributor // Storage Queue Data Contributor
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
  }
}

// The host writes its diagnostic events to a table.
resource appUsesHostTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: hostAccount
  name: guid(hostAccount.id, appPrincipalId, roleIds.tableContributor)
  properties: {
    roleDefinitionId: definitions.tableContributor // Storage Table Data Contributor
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource appWritesData 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataAccount
  name: guid(dataAccount.id, appPrincipalId, roleIds.blobContributor)
  properties: {
    roleDefinitionId: definitions.blobContributor // Storage Blob Data Contributor
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
  }
}

// Message Processor would not do: the host also asks for queue lengths, sends hints and fills the poison queues.
resource appUsesQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataAccount
  name: guid(dataAccount.id, appPrincipalId, roleIds.queueContributor)
  properties: {
    roleDefinitionId: definitions.queueContributor // Storage Queue Data Contributor
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource appWritesLake 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: lake
  name: guid(lake.id, appPrincipalId, roleIds.blobContributor)
  properties: {
    roleDefinitionId: definitions.blobContributor // Storage Blob Data Contributor
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
  }
}

// Jobs and tasks only; "Azure Batch Data Contributor" could also change pools, and with them what runs as whom.
resource appSubmitsJobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: batchAccount
  name: guid(batchAccount.id, appPrincipalId, roleIds.batchJobs)
  properties: {
    roleDefinitionId: definitions.batchJobs // Azure Batch Job Submitter
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource appWritesFhir 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (createFhir) {
  scope: fhirService
  name: guid(fhirService.id, appPrincipalId, roleIds.fhirContributor)
  properties: {
    roleDefinitionId: definitions.fhirContributor // FHIR Data Contributor
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource appPublishesCompleted 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: completedTopic
  name: guid(completedTopic.id, appPrincipalId, roleIds.eventSender)
  properties: {
    roleDefinitionId: definitions.eventSender // EventGrid Data Sender
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource appWritesLogs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: insights
  name: guid(insights.id, appPrincipalId, roleIds.metricsPublisher)
  properties: {
    roleDefinitionId: definitions.metricsPublisher // Monitoring Metrics Publisher
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
  }
}

// --- Batch nodes: the containers their tasks work in, and the image; neither uploads, lake nor FHIR ---

resource nodeWritesContainers 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (container, index) in nodeContainers: {
    scope: nodeBlobContainers[index]
    name: guid(dataAccount.id, container, nodePrincipalId, roleIds.blobContributor)
    properties: {
      roleDefinitionId: definitions.blobContributor // Storage Blob Data Contributor
      principalId: nodePrincipalId
      principalType: 'ServicePrincipal'
    }
  }
]

resource nodePullsImage 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: registry
  name: guid(registry.id, nodePrincipalId, roleIds.acrPull)
  properties: {
    roleDefinitionId: definitions.acrPull // AcrPull
    principalId: nodePrincipalId
    principalType: 'ServicePrincipal'
  }
}

// --- Event Grid: put messages into queues, put undeliverable events aside ---

resource topicsSendMessages 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for principalId in [systemTopicPrincipalId, completedTopicPrincipalId]: {
    scope: dataAccount
    name: guid(dataAccount.id, principalId, roleIds.queueSender)
    properties: {
      roleDefinitionId: definitions.queueSender // Storage Queue Data Message Sender
      principalId: principalId
      principalType: 'ServicePrincipal'
    }
  }
]

resource systemTopicKeepsDeadLetters 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (container, index) in deadLetterContainers: {
    scope: deadLetters[index]
    name: guid(dataAccount.id, container, systemTopicPrincipalId, roleIds.blobContributor)
    properties: {
      roleDefinitionId: definitions.blobContributor // Storage Blob Data Contributor
      principalId: systemTopicPrincipalId
      principalType: 'ServicePrincipal'
    }
  }
]

resource completedTopicKeepsDeadLetters 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (container, index) in deadLetterContainers: {
    scope: deadLetters[index]
    name: guid(dataAccount.id, container, completedTopicPrincipalId, roleIds.blobContributor)
    properties: {
      roleDefinitionId: definitions.blobContributor // Storage Blob Data Contributor
      principalId: completedTopicPrincipalId
      principalType: 'ServicePrincipal'
    }
  }
]

// --- operator: uploads bundles and samples, re-drives poison messages, reads the lake ---

resource operatorWritesData 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorPrincipalId)) {
  scope: dataAccount
  name: guid(dataAccount.id, operatorPrincipalId, roleIds.blobContributor)
  properties: {
    roleDefinitionId: definitions.blobContributor // Storage Blob Data Contributor
    principalId: operatorPrincipalId
    principalType: operatorPrincipalType
  }
}

resource operatorUsesQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorPrincipalId)) {
  scope: dataAccount
  name: guid(dataAccount.id, operatorPrincipalId, roleIds.queueContributor)
  properties: {
    roleDefinitionId: definitions.queueContributor // Storage Queue Data Contributor
    principalId: operatorPrincipalId
    principalType: operatorPrincipalType
  }
}

resource operatorReadsLake 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorPrincipalId)) {
  scope: lake
  name: guid(lake.id, operatorPrincipalId, roleIds.blobReader)
  properties: {
    roleDefinitionId: definitions.blobReader // Storage Blob Data Reader
    principalId: operatorPrincipalId
    principalType: operatorPrincipalType
  }
}
