// Where events come from: the data account's blobs, and the app's own "completed" event for subscribers.
param location string
param tags object
param systemTopicName string
param completedTopicName string
param dataAccountId string

resource systemTopic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: systemTopicName
  location: location
  tags: tags
  identity: { type: 'SystemAssigned' }
  properties: {
    source: dataAccountId
    topicType: 'Microsoft.Storage.StorageAccounts'
  }
}

resource completedTopic 'Microsoft.EventGrid/topics@2025-02-15' = {
  name: completedTopicName
  location: location
  tags: tags
  identity: { type: 'SystemAssigned' }
  properties: {
    inputSchema: 'CloudEventSchemaV1_0'
    disableLocalAuth: true
    minimumTlsVersionAllowed: '1.2'
    publicNetworkAccess: 'Enabled'
  }
}

output systemTopicName string = systemTopic.name
output systemTopicPrincipalId string = systemTopic.identity.principalId
output completedTopicName string = completedTopic.name
output completedTopicPrincipalId string = completedTopic.identity.principalId
output completedTopicEndpoint string = completedTopic.properties.endpoint
