// One event subscription per entry of subscriptions.json, from the data account to a storage queue of the same account,
// delivered and dead-lettered with the topic's identity.
param systemTopicName string
param completedTopicName string
param completedQueue string
param completedDeadLetterContainer string
param dataAccountId string

var subscriptions = loadJsonContent('../subscriptions.json')
// A message waits as long as it must; the default of seven days would lose work over a long outage.
var neverExpires = -1

resource systemTopic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: systemTopicName
}

resource completedTopic 'Microsoft.EventGrid/topics@2025-02-15' existing = {
  name: completedTopicName
}

// One at a time: Event Grid answers parallel changes of one topic with conflicts.
@batchSize(1)
resource blobSubscriptions 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = [
  for entry in subscriptions: {
    parent: systemTopic
    name: entry.name
    properties: {
      eventDeliverySchema: entry.eventDeliverySchema
      filter: entry.filter
      retryPolicy: entry.retryPolicy
      deliveryWithResourceIdentity: {
        identity: { type: 'SystemAssigned' }
        destination: {
          endpointType: 'StorageQueue'
          properties: {
            resourceId: dataAccountId
            queueName: entry.queue
            queueMessageTimeToLiveInSeconds: neverExpires
          }
        }
      }
      deadLetterWithResourceIdentity: {
        identity: { type: 'SystemAssigned' }
        deadLetterDestination: {
          endpointType: 'StorageBlob'
          properties: {
            resourceId: dataAccountId
            blobContainerName: entry.deadLetterContainer
          }
        }
      }
    }
  }
]

// The first subscriber of "completed": a queue that a laboratory system can poll. Others subscribe to the topic.
resource completedSubscription 'Microsoft.EventGrid/topics/eventSubscriptions@2025-02-15' = {
  parent: completedTopic
  name: 'completed'
  properties: {
    eventDeliverySchema: 'CloudEventSchemaV1_0'
    retryPolicy: { maxDeliveryAttempts: 30, eventTimeToLiveInMinutes: 1440 }
    deliveryWithResourceIdentity: {
      identity: { type: 'SystemAssigned' }
      destination: {
        endpointType: 'StorageQueue'
        properties: {
          resourceId: dataAccountId
          queueName: completedQueue
          queueMessageTimeToLiveInSeconds: neverExpires
        }
      }
    }
    deadLetterWithResourceIdentity: {
      identity: { type: 'SystemAssigned' }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: {
          resourceId: dataAccountId
          blobContainerName: completedDeadLetterContainer
        }
      }
    }
  }
}
