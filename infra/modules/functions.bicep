// The function app on Flex Consumption. Every setting that names a service ends in an address, none in a key.
param location string
param tags object
param name string
param planName string
param identityId string
param identityClientId string
param hostAccountName string
param packageContainer string
param insightsName string
param dataBlobEndpoint string
param dataQueueEndpoint string
param lakeBlobEndpoint string
param batchEndpoint string
param batchPool string
param batchTaskSlots int
param workerImage string
param workerClientId string
param fhirUrl string
param fhirAudience string
param completedTopicEndpoint string
param laboratoryName string
param laboratorySystem string
param maxInstances int

@allowed([2048, 4096])
@description('Memory of an instance, MB.')
param instanceMemoryMB int = 2048

resource hostAccount 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: hostAccountName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: name
  location: location
  tags: tags
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    siteConfig: { minTlsVersion: '1.2' }
    functionAppConfig: {
      runtime: { name: 'python', version: '3.11' }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maxInstances
      }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${hostAccount.properties.primaryEndpoints.blob}${packageContainer}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
    }
  }
}

resource settings 'Microsoft.Web/sites/config@2024-04-01' = {
  parent: app
  name: 'appsettings'
  properties: {
    // the host's own storage
    AzureWebJobsStorage__credential: 'managedidentity'
    AzureWebJobsStorage__clientId: identityClientId
    AzureWebJobsStorage__blobServiceUri: hostAccount.properties.primaryEndpoints.blob
    AzureWebJobsStorage__queueServiceUri: hostAccount.properties.primaryEndpoints.queue
    AzureWebJobsStorage__tableServiceUri: hostAccount.properties.primaryEndpoints.table
    APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'Authorization=AAD;ClientId=${identityClientId}'
    // the connection of the queue triggers, and the app's own data
    DATA_STORAGE__credential: 'managedidentity'
    DATA_STORAGE__clientId: identityClientId
    DATA_STORAGE__blobServiceUri: dataBlobEndpoint
    DATA_STORAGE__queueServiceUri: dataQueueEndpoint
    LAKE_STORAGE__blobServiceUri: lakeBlobEndpoint
    AZURE_CLIENT_ID: identityClientId
    BATCH_ENDPOINT: batchEndpoint
    BATCH_POOL: batchPool
    BATCH_SHARE_INDEX: 'true'
    BATCH_TASK_SLOTS: string(batchTaskSlots)
    BATCH_WORKER_IMAGE: workerImage
    BATCH_WORKER_CLIENT_ID: workerClientId
    FHIR_URL: fhirUrl
    FHIR_AUDIENCE: fhirAudience
    COMPLETED_TOPIC_ENDPOINT: completedTopicEndpoint
    RECONCILE_SCHEDULE: '0 */5 * * * *'
    LABORATORY_NAME: laboratoryName
    LABORATORY_SYSTEM: laboratorySystem
  }
}

// Publishing passwords stay off; azd deploys with the caller's own token.
resource noPublishingPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = [
  for endpoint in ['scm', 'ftp']: {
    parent: app
    name: endpoint
    properties: { allow: false }
  }
]

output url string = 'https://${app.properties.defaultHostName}'
